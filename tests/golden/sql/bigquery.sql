-- table
SELECT * FROM shop.sales.`order`

-- table as
-- `as t(c)` can't be said in the SQL of bigquery

-- file
-- `from '….csv'` can't be said in the SQL of bigquery

-- stage
SELECT * FROM `stage.riders` AS riders

-- piped
SELECT * FROM `stage._` AS _

-- rows
-- `as t(c)` can't be said in the SQL of bigquery

-- no rows
SELECT * FROM (SELECT CAST(NULL AS INT64) AS id, CAST(NULL AS STRING) AS name LIMIT 0) AS t

-- select without from
SELECT 1 AS one

-- where
SELECT * FROM trips WHERE age > 30 AND name IS NOT NULL

-- where after select
SELECT * FROM (SELECT age FROM trips) AS trips WHERE age > 30

-- where after limit
SELECT * FROM (SELECT * FROM trips LIMIT 5) AS trips WHERE age > 30

-- select distinct
SELECT DISTINCT city FROM trips

-- select everything and more
SELECT trips.*, riders.name FROM trips LEFT JOIN `stage.riders` AS riders ON trips.id = riders.id

-- add
SELECT *, km * 2 AS double FROM trips

-- prepend
SELECT km * 2 AS double, * FROM trips

-- exclude
SELECT * EXCEPT (age, `select`) FROM trips

-- group by
SELECT city, CAST(started AS DATE) AS day, COUNT(*) AS rides, MAX_BY(id, km) AS longest FROM trips GROUP BY city, CAST(started AS DATE) HAVING SUM(km) > 10

-- group by, where, order by, limit
SELECT * FROM (SELECT city, CAST(started AS DATE) AS day, COUNT(*) AS rides, MAX_BY(id, km) AS longest FROM trips GROUP BY city, CAST(started AS DATE) HAVING SUM(km) > 10) AS trips WHERE rides > 3 ORDER BY rides ASC LIMIT 5

-- group by, keys not shown
SELECT COUNT(*) AS n FROM trips GROUP BY city

-- group by a constant
SELECT 1 AS one, COUNT(*) AS n FROM trips GROUP BY CAST(1 AS INT64)

-- agg
SELECT COUNT(id) AS n FROM trips

-- count
SELECT COUNT(*) AS `count_star()` FROM (SELECT * FROM trips LIMIT 3) AS trips

-- order survives select and limit
SELECT name FROM trips ORDER BY age DESC LIMIT 1

-- order of a column that select redefines
SELECT -age AS age FROM trips ORDER BY trips.age DESC

-- order survives a select around it
SELECT name FROM (SELECT name, id, age AS _k1 FROM trips) AS trips ORDER BY _k1 DESC

-- order by an item's name in an expression
SELECT km + 1 AS x FROM trips ORDER BY (km + 1) * 2 ASC NULLS LAST

-- order by a number
SELECT * FROM trips ORDER BY 2 DESC

-- limit and offset
SELECT * FROM trips ORDER BY age DESC LIMIT 10 OFFSET 20

-- offset after limit
SELECT * FROM (SELECT * FROM trips LIMIT 10) AS trips LIMIT 9223372036854775807 OFFSET 5

-- join on
SELECT * FROM trips LEFT JOIN `stage.riders` AS riders ON trips.id = riders.id

-- join using
SELECT * FROM trips FULL OUTER JOIN `stage.riders` AS riders USING (id)

-- cross join
SELECT * FROM trips CROSS JOIN `stage.riders` AS riders

-- join with more than a source
SELECT * FROM (SELECT * FROM trips WHERE age > 30) AS trips JOIN (SELECT * FROM `stage.riders` AS riders LIMIT 9) AS riders ON trips.id = riders.id

-- a join's qualifier behind add
SELECT _q1.`riders.name` AS name, n FROM (SELECT *, 1 AS n, riders.name AS `riders.name` FROM trips LEFT JOIN `stage.riders` AS riders ON trips.id = riders.id) AS _q1

-- concat
SELECT * FROM trips UNION ALL SELECT * FROM `stage.riders` AS riders UNION ALL (SELECT * FROM trips LIMIT 1)

-- merge
SELECT * FROM `stage.riders` AS riders UNION ALL SELECT * FROM `stage.walkers` AS walkers

-- dedup
SELECT DISTINCT city FROM trips

-- precedence
SELECT (a + b) * (a - (b - 1)) AS c1, -(-a) AS c2, NOT (p OR q AND NOT p) AS c3 FROM trips

-- division
SELECT a / b AS c1, DIV(a, b) AS c2, MOD(a, 2) AS c3 FROM trips

-- text
-- `escape` can't be said in the SQL of bigquery

-- predicates
SELECT NOT a IN (1, 2) AS c1, a BETWEEN 1 AND b + 1 AS c2, (a, b) IN ((1, 2)) AS c3 FROM trips

-- sub-queries
SELECT * FROM trips WHERE id IN (SELECT id FROM `stage.riders` AS riders) AND (NOT EXISTS(SELECT * FROM `stage.riders` AS riders WHERE trips.id = riders.id) AND km > (SELECT AVG(km) AS m FROM trips))

-- case
SELECT CASE WHEN age > 30 THEN 'old' ELSE 'young' END AS c1, CASE a WHEN 1 THEN 'one' END AS c2 FROM trips

-- casts
SELECT ROUND(CAST(a AS NUMERIC), 2) AS c1, CAST(a AS ARRAY<INT64>) AS c2, CAST('2024-01-01' AS DATETIME) AS c3, INTERVAL '45' MINUTE AS c4 FROM trips

-- numbers
SELECT 2.50 AS c1, 1e3 AS c2, CAST(2.5 AS FLOAT64) AS c3, -5 AS c4 FROM trips

-- extract
SELECT EXTRACT(YEAR FROM started) AS c1 FROM trips

-- arrays
SELECT [1, 2] AS c1, tags[ORDINAL(1)] AS c2 FROM trips

-- struct
SELECT STRUCT(1 AS `k`) AS c1, (st).k AS c2 FROM trips

-- map
-- `map` can't be said in the SQL of bigquery

-- functions
SELECT CURRENT_DATE AS c1, COUNT(DISTINCT id) AS c2, ANY_VALUE(id) AS c3, APPROX_COUNT_DISTINCT(id) AS c4, REGEXP_CONTAINS(b, '^a') AS c5 FROM trips

-- named arguments
SELECT f(a, mode => 'x') AS c1 FROM trips

-- values
SELECT * FROM trips WHERE day = CAST(@run_date AS DATE) AND city = CAST(@city AS STRING)

