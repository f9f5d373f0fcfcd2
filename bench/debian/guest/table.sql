PRAGMA temp_store = memory;
CREATE TABLE item (id INTEGER PRIMARY KEY, kind INTEGER, name TEXT, price REAL);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 80000)
INSERT INTO item SELECT i, i * 7919 % 997, printf('item-%06d-%x', i * 31337 % 80000, i * 2654435761), i % 1000 / 8.0 FROM n;
CREATE INDEX by_kind ON item (kind);
CREATE INDEX by_name ON item (name);
SELECT count(*), sum(price), min(name), max(name) FROM item WHERE kind BETWEEN 100 AND 200;
SELECT count(*) FROM item a JOIN item b ON a.kind = b.kind AND a.id < b.id WHERE a.kind < 120;
SELECT sum(length(name)) FROM item WHERE name LIKE '%-00%' OR name LIKE '%ff%';
UPDATE item SET price = price * 2 WHERE id % 3 = 0;
DELETE FROM item WHERE kind > 900;
SELECT name, price FROM item ORDER BY price DESC, name LIMIT 3;
SELECT kind, count(*), avg(price) FROM item GROUP BY kind ORDER BY 3 DESC, 1 LIMIT 3;
