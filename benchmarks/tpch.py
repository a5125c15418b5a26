"""Two sets of ten models over TPC-H tables, each as a stage and as the statement that a bare script would run.

``MARTS`` read only the tables. ``LAYERS`` read one another: every table that is saved is also read downstream.
"""

from __future__ import annotations

from typing import NamedTuple


class Model(NamedTuple):
    """``flow``: the body of the stage that saves it; ``sql``: the SELECT of the same rows, over the files' views."""

    name: str
    flow: str
    sql: str


MARTS = (
    Model(
        "lines",
        """from 'data/lineitem.parquet'
           select l_orderkey, l_partkey, l_suppkey, l_shipdate, l_shipmode, l_quantity, l_extendedprice, l_discount,
                  revenue = l_extendedprice * (1 - l_discount), late = l_receiptdate > l_commitdate""",
        """select l_orderkey, l_partkey, l_suppkey, l_shipdate, l_shipmode, l_quantity, l_extendedprice, l_discount,
                  l_extendedprice * (1 - l_discount) as revenue, l_receiptdate > l_commitdate as late
           from 'data/lineitem.parquet'""",
    ),
    Model(
        "pricing_summary",
        """from 'data/lineitem.parquet'
           where l_shipdate <= '1998-09-02':date
           group by l_returnflag, l_linestatus
           agg l_quantity.sum as quantity, l_extendedprice.sum as base,
               (l_extendedprice * (1 - l_discount) * (1 + l_tax)).sum as charge,
               l_discount.avg as discount, _.count as lines
           order by l_returnflag, l_linestatus""",
        """select l_returnflag, l_linestatus, sum(l_quantity) as quantity, sum(l_extendedprice) as base,
                  sum(l_extendedprice * (1 - l_discount) * (1 + l_tax)) as charge,
                  avg(l_discount) as discount, count(*) as lines
           from 'data/lineitem.parquet' where l_shipdate <= date '1998-09-02' group by all order by all""",
    ),
    Model(
        "shipping_priority",
        """from 'data/customer.parquet' as c
           join 'data/orders.parquet' as o on c.c_custkey = o.o_custkey
           join 'data/lineitem.parquet' as l on l.l_orderkey = o.o_orderkey
           where c.c_mktsegment = 'BUILDING' and o.o_orderdate < '1995-03-15':date and l.l_shipdate > '1995-03-15':date
           group by l.l_orderkey, o.o_orderdate, o.o_shippriority
           agg (l.l_extendedprice * (1 - l.l_discount)).sum as revenue""",
        """select l_orderkey, o_orderdate, o_shippriority, sum(l_extendedprice * (1 - l_discount)) as revenue
           from 'data/customer.parquet' join 'data/orders.parquet' on c_custkey = o_custkey
           join 'data/lineitem.parquet' on l_orderkey = o_orderkey
           where c_mktsegment = 'BUILDING' and o_orderdate < date '1995-03-15' and l_shipdate > date '1995-03-15'
           group by l_orderkey, o_orderdate, o_shippriority""",
    ),
    Model(
        "supplier_volume",
        """from 'data/lineitem.parquet' as l
           join 'data/supplier.parquet' as s on s.s_suppkey = l.l_suppkey
           join 'data/nation.parquet' as n on n.n_nationkey = s.s_nationkey
           join 'data/region.parquet' as r on r.r_regionkey = n.n_regionkey
           group by region = r.r_name, nation = n.n_name, year = date_part('year', l.l_shipdate)
           agg (l.l_extendedprice * (1 - l.l_discount)).sum as revenue""",
        """select r_name as region, n_name as nation, date_part('year', l_shipdate) as year,
                  sum(l_extendedprice * (1 - l_discount)) as revenue
           from 'data/lineitem.parquet' join 'data/supplier.parquet' on s_suppkey = l_suppkey
           join 'data/nation.parquet' on n_nationkey = s_nationkey
           join 'data/region.parquet' on r_regionkey = n_regionkey
           group by all""",
    ),
    Model(
        "forecast",
        """from 'data/lineitem.parquet'
           where l_discount between 0.05 and 0.07 and l_quantity < 24
           group by year = date_part('year', l_shipdate)
           agg (l_extendedprice * l_discount).sum as revenue""",
        """select date_part('year', l_shipdate) as year, sum(l_extendedprice * l_discount) as revenue
           from 'data/lineitem.parquet' where l_discount between 0.05 and 0.07 and l_quantity < 24 group by all""",
    ),
    Model(
        "returned_items",
        """from 'data/customer.parquet' as c
           join 'data/orders.parquet' as o on c.c_custkey = o.o_custkey
           join 'data/lineitem.parquet' as l on l.l_orderkey = o.o_orderkey
           where l.l_returnflag = 'R'
           group by c.c_custkey, c.c_name, c.c_acctbal, c.c_phone
           agg (l.l_extendedprice * (1 - l.l_discount)).sum as lost""",
        """select c_custkey, c_name, c_acctbal, c_phone, sum(l_extendedprice * (1 - l_discount)) as lost
           from 'data/customer.parquet' join 'data/orders.parquet' on c_custkey = o_custkey
           join 'data/lineitem.parquet' on l_orderkey = o_orderkey
           where l_returnflag = 'R' group by all""",
    ),
    Model(
        "shipping_modes",
        """from 'data/orders.parquet' as o
           join 'data/lineitem.parquet' as l on l.l_orderkey = o.o_orderkey
           where l.l_commitdate < l.l_receiptdate and l.l_shipdate < l.l_commitdate
           group by l.l_shipmode, o.o_orderpriority
           agg _.count as lines""",
        """select l_shipmode, o_orderpriority, count(*) as lines
           from 'data/orders.parquet' join 'data/lineitem.parquet' on l_orderkey = o_orderkey
           where l_commitdate < l_receiptdate and l_shipdate < l_commitdate group by all""",
    ),
    Model(
        "promotions",
        """from 'data/lineitem.parquet' as l
           join 'data/part.parquet' as p on l.l_partkey = p.p_partkey
           group by month = date_trunc('month', l.l_shipdate)
           agg (if p.p_type like 'PROMO%' then l.l_extendedprice * (1 - l.l_discount) else 0).sum as promoted,
               (l.l_extendedprice * (1 - l.l_discount)).sum as revenue""",
        """select date_trunc('month', l_shipdate) as month,
                  sum(case when p_type like 'PROMO%' then l_extendedprice * (1 - l_discount) else 0 end) as promoted,
                  sum(l_extendedprice * (1 - l_discount)) as revenue
           from 'data/lineitem.parquet' join 'data/part.parquet' on l_partkey = p_partkey group by all""",
    ),
    Model(
        "large_orders",
        """from 'data/lineitem.parquet'
           group by l_orderkey
           agg l_quantity.sum as quantity, l_extendedprice.sum as price
           where quantity > 200""",
        """select l_orderkey, sum(l_quantity) as quantity, sum(l_extendedprice) as price
           from 'data/lineitem.parquet' group by all having quantity > 200""",
    ),
    Model(
        "open_orders",
        """from 'data/orders.parquet' as o
           join 'data/customer.parquet' as c on c.c_custkey = o.o_custkey
           where o.o_orderstatus = 'O'
           select o.o_orderkey, o.o_orderdate, o.o_totalprice, c.c_name, c.c_mktsegment
           order by o_totalprice desc""",
        """select o_orderkey, o_orderdate, o_totalprice, c_name, c_mktsegment
           from 'data/orders.parquet' join 'data/customer.parquet' on c_custkey = o_custkey
           where o_orderstatus = 'O' order by o_totalprice desc""",
    ),
)

LAYERS = (
    Model(
        "customers",
        """from 'data/customer.parquet' as c
           join 'data/nation.parquet' as n on n.n_nationkey = c.c_nationkey
           select customer = c.c_custkey, name = c.c_name, segment = c.c_mktsegment, nation = n.n_name""",
        """select c_custkey as customer, c_name as name, c_mktsegment as segment, n_name as nation
           from 'data/customer.parquet' join 'data/nation.parquet' on n_nationkey = c_nationkey""",
    ),
    Model(
        "placed",
        """from 'data/orders.parquet'
           select id = o_orderkey, customer = o_custkey, day = o_orderdate, priority = o_orderpriority,
                  price = o_totalprice""",
        """select o_orderkey as id, o_custkey as customer, o_orderdate as day, o_orderpriority as priority,
                  o_totalprice as price
           from 'data/orders.parquet'""",
    ),
    Model(
        "lines",
        """from 'data/lineitem.parquet'
           select id = l_orderkey, part = l_partkey, supplier = l_suppkey, shipped = l_shipdate, mode = l_shipmode,
                  quantity = l_quantity, revenue = l_extendedprice * (1 - l_discount), returned = l_returnflag = 'R'""",
        """select l_orderkey as id, l_partkey as part, l_suppkey as supplier, l_shipdate as shipped,
                  l_shipmode as mode, l_quantity as quantity, l_extendedprice * (1 - l_discount) as revenue,
                  l_returnflag = 'R' as returned
           from 'data/lineitem.parquet'""",
    ),
    Model(
        "parts",
        """from 'data/part.parquet'
           select part = p_partkey, brand = p_brand, class = p_type, price = p_retailprice""",
        """select p_partkey as part, p_brand as brand, p_type as class, p_retailprice as price
           from 'data/part.parquet'""",
    ),
    Model(
        "order_revenue",
        """from lines group by id
           agg revenue.sum as revenue, quantity.sum as quantity, _.count as items""",
        """select id, sum(revenue) as revenue, sum(quantity) as quantity, count(*) as items
           from lines group by id""",
    ),
    Model(
        "order_facts",
        """from placed as o
           join order_revenue as r on r.id = o.id
           join customers as c on c.customer = o.customer
           select o.id, o.day, o.priority, c.segment, c.nation, r.revenue, r.quantity, r.items""",
        """select o.id, o.day, o.priority, c.segment, c.nation, r.revenue, r.quantity, r.items
           from placed o join order_revenue r on r.id = o.id join customers c on c.customer = o.customer""",
    ),
    Model(
        "brand_revenue",
        """from lines as l join parts as p on p.part = l.part
           group by p.brand, month = date_trunc('month', l.shipped)
           agg l.revenue.sum as revenue""",
        """select p.brand, date_trunc('month', l.shipped) as month, sum(l.revenue) as revenue
           from lines l join parts p on p.part = l.part group by all""",
    ),
    Model(
        "monthly",
        """from order_facts
           group by nation, segment, month = date_trunc('month', day)
           agg revenue.sum as revenue, _.count as orders""",
        """select nation, segment, date_trunc('month', day) as month, sum(revenue) as revenue, count(*) as orders
           from order_facts group by all""",
    ),
    Model(
        "priorities",
        """from order_facts group by priority agg revenue.avg as revenue, items.avg as items""",
        """select priority, avg(revenue) as revenue, avg(items) as items from order_facts group by all""",
    ),
    Model(
        "nations",
        """from monthly group by nation agg revenue.sum as revenue, orders.sum as orders""",
        """select nation, sum(revenue) as revenue, sum(orders)::bigint as orders from monthly group by all""",
    ),
)
# What reads the last of the layers, so that every saved table is read.
LAST = Model(
    "last",
    """from nations as n join { from brand_revenue agg revenue.sum as brands } as b on true
       join { from priorities agg _.count as classes } as p on true
       agg n.revenue.sum as nations, b.brands.any as brands, p.classes.any as classes""",
    """select sum(n.revenue) as nations, any_value(b.brands) as brands, any_value(p.classes) as classes
       from nations n, (select sum(revenue) as brands from brand_revenue) b,
            (select count(*) as classes from priorities) p""",
)
