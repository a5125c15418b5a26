-- where: from trips where fare > 10 and zone like 'a%'
SELECT * FROM trips WHERE fare > 10 AND zone LIKE 'a%'

-- rename: from trips rename fare as price
SELECT id, zone, fare AS price, "at", tags FROM trips

-- exclude: from trips exclude tags
SELECT id, zone, fare, "at" FROM trips

-- exclude unknown: from other exclude tags
-- `exclude` can't be said in the SQL of trino

-- rename unknown: from other rename a as b
-- `rename` can't be said in the SQL of trino

-- shift: from trips shift fare
SELECT fare, id, zone, "at", tags FROM trips

-- describe: from trips describe
SELECT * FROM (VALUES ('id', 'long'), ('zone', 'string'), ('fare', 'decimal'), ('at', 'timestamp'), ('tags', 'array')) AS _q1(column_name, column_type)

-- a CTE used twice: with c as { from trips group by zone agg top = fare.max } from c where top = { from c select top.max }
WITH _m1 AS (SELECT zone, MAX(fare) AS top FROM trips GROUP BY zone) SELECT * FROM _m1 AS c WHERE top = (SELECT MAX(top) AS "max(top)" FROM _m1 AS c)

-- describe unknown: from other describe
-- `describe` can't be said in the SQL of trino

-- intersect: from zones intersect all from zones
SELECT * FROM zones INTERSECT ALL SELECT * FROM zones

-- except: from zones except from zones
SELECT * FROM zones EXCEPT SELECT * FROM zones

-- pivot: from trips pivot on zone in ('a', 'b') group by id agg fare.sum
SELECT id, SUM(CASE WHEN zone = 'a' THEN fare END) AS a, SUM(CASE WHEN zone = 'b' THEN fare END) AS b FROM trips GROUP BY id

-- pivot open: from trips pivot on zone group by id agg fare.sum
-- `pivot` can't be said in the SQL of trino

-- unpivot: from trips select id, a = fare, b = fare unpivot v for n in (a, b)
SELECT id, 'a' AS n, a AS v FROM (SELECT id, fare AS a, fare AS b FROM trips) AS trips WHERE a IS NOT NULL UNION ALL SELECT id, 'b' AS n, b AS v FROM (SELECT id, fare AS a, fare AS b FROM trips) AS trips WHERE b IS NOT NULL

-- sample: from trips sample 10
SELECT * FROM (SELECT * FROM trips) AS _q2 ORDER BY RAND() LIMIT 10

-- sample %: from trips sample bernoulli(5%)
SELECT * FROM (SELECT * FROM trips) AS _q2 TABLESAMPLE BERNOULLI (5)

-- asof: from trips as t asof join trips as u on t.zone = u.zone and t.at >= u.at
-- `asof join` can't be said in the SQL of trino

-- asof left: from trips as t asof left join trips as u on u.at < t.at and t.zone = u.zone where u.id is null
-- `asof join` can't be said in the SQL of trino

-- asof using: from trips as t asof join trips as u on zone, at
-- `asof join` can't be said in the SQL of trino

-- asof, joined again: from trips as t asof join trips as u on t.at >= u.at join zones on t.zone = zones.zone
-- `asof join` can't be said in the SQL of trino

-- window: from trips select id, r = fare.sum over (partition by zone order by at rows[-1,0])
SELECT id, SUM(fare) OVER (PARTITION BY zone ORDER BY "at" ASC ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS r FROM trips

-- lambda: from trips select x = list_transform(tags, t -> upper(t))
SELECT TRANSFORM(tags, t -> UPPER(t)) AS x FROM trips

-- array: select [1, 2] as a, [1, 2][1] as b
SELECT ARRAY[1, 2] AS a, ARRAY[1, 2][1] AS b

-- map: select map {'a': 1} as m
SELECT MAP(ARRAY['a'], ARRAY[1]) AS m

-- struct: select {k: 1} as s
SELECT CAST(ROW(1) AS ROW("k" INTEGER)) AS s

-- string: from trips select zone + '-' + id as k
SELECT concat(COALESCE(zone, ''), concat('-', COALESCE(CAST(id AS VARCHAR), ''))) AS k FROM trips

-- interval: from trips where at > current_timestamp - '45 minutes'::interval
SELECT * FROM trips WHERE "at" > CURRENT_TIMESTAMP - INTERVAL '45' MINUTE

-- extract: from trips select y = at.extract('year')
SELECT EXTRACT(YEAR FROM "at") AS y FROM trips

-- group default: from zones group by city
SELECT city, arbitrary(zone) AS "arbitrary(zone)", arbitrary(city) AS "arbitrary(city)" FROM zones GROUP BY city

-- join using: from trips join zones on zone
SELECT * FROM trips JOIN zones USING (zone)

-- unnest: from trips cross join unnest(tags) as u(tag) select id, tag
SELECT id, tag FROM trips CROSS JOIN UNNEST(tags) AS u(tag)

-- dedup: from zones | dedup
SELECT DISTINCT * FROM zones

-- limit: from trips order by fare desc limit 3 offset 2
SELECT * FROM (SELECT * FROM trips ORDER BY fare DESC LIMIT 3) AS trips ORDER BY fare DESC OFFSET 2

-- //: from trips select h = id // 2, d = id / 2
SELECT id / 2 AS h, CAST(id AS DOUBLE) / 2 AS d FROM trips

-- max_by: from trips agg m = zone.max_by(fare)
SELECT MAX_BY(zone, fare) AS m FROM trips

-- regexp: from trips where zone.regexp_like('a+')
SELECT * FROM trips WHERE REGEXP_LIKE(zone, 'a+')

-- approx: from trips agg n = zone.count_approx_distinct, q = fare.approx_quantile(0.5)
SELECT APPROX_DISTINCT(zone) AS n, APPROX_PERCENTILE(fare, 0.5) AS q FROM trips

-- json: select '{}'::json as j
SELECT JSON_PARSE('{}') AS j

-- values: from [[1, 'a']] as t(x, y)
SELECT * FROM (VALUES (1, 'a')) AS t(x, y)

-- in tuple: from trips where (id, zone) in ((1, 'a'))
SELECT * FROM trips WHERE (id, zone) IN ((1, 'a'))

-- array exclude: from trips select x = tags.exclude(['a'])
SELECT FILTER(tags, _m -> NOT CONTAINS(ARRAY['a'], _m)) AS x FROM trips

-- count_if: from trips agg n = _.count_if(fare > 1)
SELECT COUNT_IF(fare > 1) AS n FROM trips

-- sql: from sql"select 1 as x" select x
SELECT x FROM (select 1 as x) AS _q1
