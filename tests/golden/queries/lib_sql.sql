select 7 as seven, 'x' as x
