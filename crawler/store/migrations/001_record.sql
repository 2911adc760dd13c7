-- The record. Read the views crawls, visits, edges and probes; their names and
-- columns are a contract. Each stands on a table of the same name with _log
-- behind it, which takes rows at least once: a batch that was sent twice is
-- there twice until ClickHouse merges it away. The views read with FINAL, so
-- that every row shows exactly once, in its latest form. Only Canopy writes
-- the tables, and only retention need ever name them.
--
-- The identity of a row is its sorting key. The month in PARTITION BY comes
-- from a column that a replay repeats, so both copies meet in one partition.
--
-- Codecs are measured, in bytes a row of 400,000 made-up Mainline visits (random
-- IDs and addresses, 40 % answered), default LZ4 / ZSTD(1): peer_id 40.2 / 20.3,
-- address 6.1 / 3.9, prefix as String 7.5 / 3.9 and as LowCardinality 3.8 / 2.7,
-- organisation 2.4 / 1.6, visited_at 3.3 / 1.7 (2.4 with Delta before ZSTD),
-- rtt_ms 2.8 / 2.1 (2.8 with Gorilla), number 4.0 / 0.004 with Delta. ZSTD(3)
-- gains nothing. All columns together: 78 / 39.

-- One row per crawl. It is written with state 'running' when the crawl begins
-- and again, whole, when it ends.
CREATE TABLE IF NOT EXISTS crawls_log
(
    network     LowCardinality(String) CODEC(ZSTD(1)),
    crawl_id    UUID CODEC(ZSTD(1)),
    vantage     LowCardinality(String) COMMENT 'the steward''s name for where we look from' CODEC(ZSTD(1)),
    scope       LowCardinality(String) COMMENT 'global, or local: a synthetic network, never a public figure' CODEC(ZSTD(1)),
    started_at  DateTime64(3, 'UTC') CODEC(ZSTD(1)),
    ended_at    Nullable(DateTime64(3, 'UTC')) COMMENT 'NULL while running' CODEC(ZSTD(1)),
    state       LowCardinality(String) COMMENT 'running, complete, cut_short or degraded' CODEC(ZSTD(1)),
    discovered  UInt64 COMMENT 'peers named by somebody' CODEC(ZSTD(1)),
    reachable   UInt64 COMMENT 'peers that answered with the identity asked for' CODEC(ZSTD(1)),
    queries     UInt64 CODEC(ZSTD(1)),
    software    LowCardinality(String) COMMENT 'program and version' CODEC(ZSTD(1)),
    settings    String COMMENT 'JSON: network description, limits, retry policy' CODEC(ZSTD(1)),
    notes       Array(String) COMMENT 'what a reader must know, one sentence each' CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(started_at)
ORDER BY (network, crawl_id);

CREATE VIEW IF NOT EXISTS crawls AS SELECT * FROM crawls_log FINAL;

-- One row per peer and crawl.
CREATE TABLE IF NOT EXISTS visits_log
(
    network      LowCardinality(String) CODEC(ZSTD(1)),
    crawl_id     UUID CODEC(ZSTD(1)),
    number       UInt32 COMMENT 'crawl-local number of the peer; edges refer to it' CODEC(Delta, ZSTD(1)),
    visited_at   DateTime64(3, 'UTC') CODEC(ZSTD(1)),
    peer_id      String COMMENT 'hex in Mainline, base58 in IPFS' CODEC(ZSTD(1)),
    address      IPv6 COMMENT 'that answered, else last tried; IPv4-mapped; :: when none was usable' CODEC(ZSTD(1)),
    port         UInt16 CODEC(ZSTD(1)),
    addresses    Array(String) COMMENT 'all that are known, in the network''s own notation' CODEC(ZSTD(1)),
    outcome      LowCardinality(String) COMMENT 'answered, or a failure kind' CODEC(ZSTD(1)),
    detail       String COMMENT 'free text beside outcome' CODEC(ZSTD(1)),
    agent        LowCardinality(String) CODEC(ZSTD(1)),
    protocols    Array(LowCardinality(String)) CODEC(ZSTD(1)),
    rtt_ms       Nullable(Float32) COMMENT 'NULL when nothing was measured' CODEC(ZSTD(1)),
    neighbours   UInt32 COMMENT 'distinct peers it named' CODEC(ZSTD(1)),
    partial      UInt8 COMMENT '1: it answered, but not its whole table was read' CODEC(ZSTD(1)),
    queries      UInt32 COMMENT 'requests sent to it, resends included' CODEC(ZSTD(1)),
    prefix       LowCardinality(String) COMMENT 'CIDR, empty when unknown' CODEC(ZSTD(1)),
    asn          UInt32 COMMENT '0 when unknown' CODEC(ZSTD(1)),
    organisation LowCardinality(String) CODEC(ZSTD(1)),
    country      LowCardinality(String) COMMENT 'ISO 3166-1 alpha-2, empty when unknown' CODEC(ZSTD(1)),
    hosting      LowCardinality(String) CODEC(ZSTD(1)),
    facts_source LowCardinality(String) COMMENT 'data set of the facts, empty when none matched' CODEC(ZSTD(1)),
    facts_date   Date COMMENT 'date of that data set, 1970-01-01 when none matched' CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(visited_at)
ORDER BY (network, crawl_id, number);

CREATE VIEW IF NOT EXISTS visits AS SELECT * FROM visits_log FINAL;

-- The routing tables that a crawl read, by visits.number.
CREATE TABLE IF NOT EXISTS edges_log
(
    network    LowCardinality(String) CODEC(ZSTD(1)),
    crawl_id   UUID CODEC(ZSTD(1)),
    started_at DateTime64(3, 'UTC') COMMENT 'of the crawl, as its ID tells it' CODEC(ZSTD(1)),
    peer       UInt32 COMMENT 'visits.number of the peer asked' CODEC(Delta, ZSTD(1)),
    neighbours Array(UInt32) COMMENT 'visits.number of the peers it named, ascending' CODEC(ZSTD(1)),
    partial    UInt8 COMMENT '1: some of the table could not be read' CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(started_at)
ORDER BY (network, crawl_id, peer);

CREATE VIEW IF NOT EXISTS edges AS SELECT * FROM edges_log FINAL;

-- Questions to known peers between crawls: is it still there?
CREATE TABLE IF NOT EXISTS probes_log
(
    network    LowCardinality(String) CODEC(ZSTD(1)),
    peer_id    String CODEC(ZSTD(1)),
    address    IPv6 CODEC(ZSTD(1)),
    port       UInt16 CODEC(ZSTD(1)),
    probed_at  DateTime64(3, 'UTC') CODEC(ZSTD(1)),
    outcome    LowCardinality(String) CODEC(ZSTD(1)),
    rtt_ms     Nullable(Float32) COMMENT 'NULL when nothing was measured' CODEC(ZSTD(1)),
    control_ok UInt8 COMMENT '0: our own network was in doubt, the round is void' CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(probed_at)
ORDER BY (network, peer_id, address, port, probed_at);

CREATE VIEW IF NOT EXISTS probes AS SELECT * FROM probes_log FINAL;
