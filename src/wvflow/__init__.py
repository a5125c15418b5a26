"""wvflow: the flow language of Wvlet, checked before it runs and executed durably."""

__version__ = "0.1.0"
