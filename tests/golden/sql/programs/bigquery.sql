-- where: from trips where fare > 10 and zone like 'a%'
SELECT * FROM trips WHERE fare > 10 AND zone LIKE 'a%'

-- rename: from trips rename fare as price
SELECT id, zone, fare AS price, `at`, tags FROM trips

-- exclude: from trips exclude tags
SELECT id, zone, fare, `at` FROM trips

-- exclude unknown: from other exclude tags
SELECT * EXCEPT (tags) FROM other

-- rename unknown: from other rename a as b
-- `rename` can't be said in the SQL of bigquery

-- shift: from trips shift fare
SELECT fare, id, zone, `at`, tags FROM trips

-- describe: from trips describe
-- `as t(c)` can't be said in the SQL of bigquery

-- a CTE used twice: with c as { from trips group by zone agg top = fare.max } from c where top = { from c select top.max }
WITH _m1 AS (SELECT zone, MAX(fare) AS top FROM trips GROUP BY zone) SELECT * FROM _m1 AS c WHERE top = (SELECT MAX(top) AS `max(top)` FROM _m1 AS c)

-- describe unknown: from other describe
-- `describe` can't be said in the SQL of bigquery

-- intersect: from zones intersect all from zones
-- `intersect all` can't be said in the SQL of bigquery

-- except: from zones except from zones
SELECT * FROM zones EXCEPT DISTINCT SELECT * FROM zones

-- pivot: from trips pivot on zone in ('a', 'b') group by id agg fare.sum
SELECT id, SUM(CASE WHEN zone = 'a' THEN fare END) AS a, SUM(CASE WHEN zone = 'b' THEN fare END) AS b FROM trips GROUP BY id

-- pivot open: from trips pivot on zone group by id agg fare.sum
-- `pivot` can't be said in the SQL of bigquery

-- unpivot: from trips select id, a = fare, b = fare unpivot v for n in (a, b)
SELECT id, 'a' AS n, a AS v FROM (SELECT id, fare AS a, fare AS b FROM trips) AS trips WHERE a IS NOT NULL UNION ALL SELECT id, 'b' AS n, b AS v FROM (SELECT id, fare AS a, fare AS b FROM trips) AS trips WHERE b IS NOT NULL

-- sample: from trips sample 10
SELECT * FROM (SELECT * FROM trips) AS _q2 ORDER BY RAND() NULLS LAST LIMIT 10

-- sample %: from trips sample bernoulli(5%)
-- `sample %` can't be said in the SQL of bigquery

-- asof: from trips as t asof join trips as u on t.zone = u.zone and t.at >= u.at
-- `asof join` can't be said in the SQL of bigquery

-- asof left: from trips as t asof left join trips as u on u.at < t.at and t.zone = u.zone where u.id is null
-- `asof join` can't be said in the SQL of bigquery

-- asof using: from trips as t asof join trips as u on zone, at
-- `asof join` can't be said in the SQL of bigquery

-- asof, joined again: from trips as t asof join trips as u on t.at >= u.at join zones on t.zone = zones.zone
-- `asof join` can't be said in the SQL of bigquery

-- window: from trips select id, r = fare.sum over (partition by zone order by at rows[-1,0])
-- `over` can't be said in the SQL of bigquery

-- lambda: from trips select x = list_transform(tags, t -> upper(t))
-- `->` can't be said in the SQL of bigquery

-- array: select [1, 2] as a, [1, 2][1] as b
SELECT [1, 2] AS a, [1, 2][ORDINAL(1)] AS b

-- map: select map {'a': 1} as m
-- `map` can't be said in the SQL of bigquery

-- struct: select {k: 1} as s
SELECT STRUCT(1 AS `k`) AS s

-- string: from trips select zone + '-' + id as k
SELECT concat(COALESCE(zone, ''), concat('-', COALESCE(CAST(id AS STRING), ''))) AS k FROM trips

-- interval: from trips where at > current_timestamp - '45 minutes'::interval
SELECT * FROM trips WHERE `at` > CURRENT_TIMESTAMP() - INTERVAL '45' MINUTE

-- extract: from trips select y = at.extract('year')
SELECT EXTRACT(YEAR FROM `at`) AS y FROM trips

-- group default: from zones group by city
SELECT city, ANY_VALUE(zone) AS `arbitrary(zone)`, ANY_VALUE(city) AS `arbitrary(city)` FROM zones GROUP BY city

-- join using: from trips join zones on zone
SELECT * FROM trips JOIN zones USING (zone)

-- unnest: from trips cross join unnest(tags) as u(tag) select id, tag
SELECT id, tag FROM trips CROSS JOIN UNNEST(tags) AS tag

-- dedup: from zones | dedup
SELECT DISTINCT * FROM zones

-- limit: from trips order by fare desc limit 3 offset 2
SELECT * FROM (SELECT * FROM trips ORDER BY fare DESC LIMIT 3) AS trips ORDER BY fare DESC LIMIT 9223372036854775807 OFFSET 2

-- //: from trips select h = id // 2, d = id / 2
SELECT DIV(id, 2) AS h, id / 2 AS d FROM trips

-- max_by: from trips agg m = zone.max_by(fare)
SELECT MAX_BY(zone, fare) AS m FROM trips

-- regexp: from trips where zone.regexp_like('a+')
SELECT * FROM trips WHERE REGEXP_CONTAINS(zone, 'a+')

-- approx: from trips agg n = zone.count_approx_distinct, q = fare.approx_quantile(0.5)
-- `approx_quantile` can't be said in the SQL of bigquery

-- json: select '{}'::json as j
SELECT PARSE_JSON('{}') AS j

-- values: from [[1, 'a']] as t(x, y)
-- `as t(c)` can't be said in the SQL of bigquery

-- in tuple: from trips where (id, zone) in ((1, 'a'))
SELECT * FROM trips WHERE (id, zone) IN ((1, 'a'))

-- array exclude: from trips select x = tags.exclude(['a'])
-- `array_except` can't be said in the SQL of bigquery

-- count_if: from trips agg n = _.count_if(fare > 1)
SELECT COUNTIF(fare > 1) AS n FROM trips

-- sql: from sql"select 1 as x" select x
SELECT x FROM (select 1 as x) AS _q1
