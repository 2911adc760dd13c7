-- What tells how large a network is that is too large to be walked whole: the
-- zone of the key space that a crawl kept to, nodes known to be alive in it,
-- and lookups of random keys.
ALTER TABLE crawls_log ADD COLUMN IF NOT EXISTS
    zone LowCardinality(String) DEFAULT '' COMMENT 'BITS/PREFIX of the key space that was walked, empty: all of it' CODEC(ZSTD(1));

CREATE OR REPLACE VIEW crawls AS SELECT * FROM crawls_log FINAL;

-- Nodes that were known to be alive in the zone before it was walked.
CREATE TABLE IF NOT EXISTS marks_log
(
    network    LowCardinality(String) CODEC(ZSTD(1)),
    crawl_id   UUID CODEC(ZSTD(1)),
    started_at DateTime64(3, 'UTC') COMMENT 'of the crawl, as its ID tells it' CODEC(ZSTD(1)),
    peer_id    String CODEC(ZSTD(1)),
    address    IPv6 CODEC(ZSTD(1)),
    port       UInt16 CODEC(ZSTD(1)),
    kind       LowCardinality(String) COMMENT 'planted: our own; confirmed: of the network, answered on another path' CODEC(ZSTD(1)),
    named      UInt8 COMMENT '1: others named it before the walk began' CODEC(ZSTD(1)),
    looked_up  UInt8 COMMENT '1: lookups were aimed near it' CODEC(ZSTD(1)),
    lookup     UInt8 COMMENT '1: and found it' CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(started_at)
ORDER BY (network, crawl_id, peer_id, address, port);

CREATE VIEW IF NOT EXISTS marks AS SELECT * FROM marks_log FINAL;

-- Searches for the nodes closest to random keys.
CREATE TABLE IF NOT EXISTS lookups_log
(
    network    LowCardinality(String) CODEC(ZSTD(1)),
    crawl_id   UUID CODEC(ZSTD(1)),
    started_at DateTime64(3, 'UTC') COMMENT 'of the crawl, as its ID tells it' CODEC(ZSTD(1)),
    number     UInt32 CODEC(ZSTD(1)),
    target     String CODEC(ZSTD(1)),
    k          UInt8 COMMENT 'nodes that were looked for' CODEC(ZSTD(1)),
    found      UInt8 COMMENT 'nodes that answered, k at most' CODEC(ZSTD(1)),
    distance   Float64 COMMENT 'of the last of them, as a share of the key space' CODEC(ZSTD(1)),
    queries    UInt32 CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(started_at)
ORDER BY (network, crawl_id, number);

CREATE VIEW IF NOT EXISTS lookups AS SELECT * FROM lookups_log FINAL;
