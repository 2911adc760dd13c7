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
-- Codecs: TODO

-- One row per crawl. It is written with state 'running' when the crawl begins
-- and again, whole, when it ends.
CREATE TABLE IF NOT EXISTS crawls_log
(
    network     LowCardinality(String),
    crawl_id    UUID,
    vantage     LowCardinality(String) COMMENT 'the steward''s name for where we look from',
    scope       LowCardinality(String) COMMENT 'global, or local: a synthetic network, never a public figure',
    started_at  DateTime64(3, 'UTC'),
    ended_at    Nullable(DateTime64(3, 'UTC')) COMMENT 'NULL while running',
    state       LowCardinality(String) COMMENT 'running, complete, cut_short or degraded',
    discovered  UInt64 COMMENT 'peers named by somebody',
    reachable   UInt64 COMMENT 'peers that answered with the identity asked for',
    queries     UInt64,
    software    LowCardinality(String) COMMENT 'program and version',
    settings    String COMMENT 'JSON: network description, limits, retry policy',
    notes       Array(String) COMMENT 'what a reader must know, one sentence each'
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(started_at)
ORDER BY (network, crawl_id);

CREATE VIEW IF NOT EXISTS crawls AS SELECT * FROM crawls_log FINAL;

-- One row per peer and crawl.
CREATE TABLE IF NOT EXISTS visits_log
(
    network      LowCardinality(String),
    crawl_id     UUID,
    number       UInt32 COMMENT 'crawl-local number of the peer; edges refer to it',
    visited_at   DateTime64(3, 'UTC'),
    peer_id      String COMMENT 'hex in Mainline, base58 in IPFS',
    address      IPv6 COMMENT 'that answered, else last tried; IPv4-mapped; :: when none was usable',
    port         UInt16,
    addresses    Array(String) COMMENT 'all that are known, in the network''s own notation',
    outcome      LowCardinality(String) COMMENT 'answered, or a failure kind',
    detail       String COMMENT 'free text beside outcome',
    agent        LowCardinality(String),
    protocols    Array(LowCardinality(String)),
    rtt_ms       Nullable(Float32) COMMENT 'NULL when nothing was measured',
    neighbours   UInt32 COMMENT 'distinct peers it named',
    partial      UInt8 COMMENT '1: it answered, but not its whole table was read',
    queries      UInt32 COMMENT 'requests sent to it, resends included',
    prefix       String COMMENT 'CIDR, empty when unknown',
    asn          UInt32 COMMENT '0 when unknown',
    organisation LowCardinality(String),
    country      LowCardinality(String) COMMENT 'ISO 3166-1 alpha-2, empty when unknown',
    hosting      LowCardinality(String),
    facts_source LowCardinality(String) COMMENT 'data set of the facts, empty when none matched',
    facts_date   Date COMMENT 'date of that data set, 1970-01-01 when none matched'
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(visited_at)
ORDER BY (network, crawl_id, number);

CREATE VIEW IF NOT EXISTS visits AS SELECT * FROM visits_log FINAL;

-- The routing tables that a crawl read, by visits.number.
CREATE TABLE IF NOT EXISTS edges_log
(
    network    LowCardinality(String),
    crawl_id   UUID,
    started_at DateTime64(3, 'UTC') COMMENT 'of the crawl, as its ID tells it',
    peer       UInt32 COMMENT 'visits.number of the peer asked',
    neighbours Array(UInt32) COMMENT 'visits.number of the peers it named, ascending',
    partial    UInt8 COMMENT '1: some of the table could not be read'
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(started_at)
ORDER BY (network, crawl_id, peer);

CREATE VIEW IF NOT EXISTS edges AS SELECT * FROM edges_log FINAL;

-- Questions to known peers between crawls: is it still there?
CREATE TABLE IF NOT EXISTS probes_log
(
    network    LowCardinality(String),
    peer_id    String,
    address    IPv6,
    port       UInt16,
    probed_at  DateTime64(3, 'UTC'),
    outcome    LowCardinality(String),
    rtt_ms     Nullable(Float32) COMMENT 'NULL when nothing was measured',
    control_ok UInt8 COMMENT '0: our own network was in doubt, the round is void'
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(probed_at)
ORDER BY (network, peer_id, address, port, probed_at);

CREATE VIEW IF NOT EXISTS probes AS SELECT * FROM probes_log FINAL;
