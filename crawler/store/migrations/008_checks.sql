-- What a newcomer meets: whether entry points answer and lead into the network,
-- and whether content is found from a cold start.
CREATE TABLE IF NOT EXISTS checks_log
(
    network       LowCardinality(String) CODEC(ZSTD(1)),
    run_id        UUID COMMENT 'of the run that the check belongs to' CODEC(ZSTD(1)),
    started_at    DateTime64(3, 'UTC') COMMENT 'of the run, as its ID tells it' CODEC(ZSTD(1)),
    kind          LowCardinality(String) COMMENT 'content, entry_point or start' CODEC(ZSTD(1)),
    subject       String COMMENT 'info-hash, CID or entry point; of a start, which entry points it had' CODEC(ZSTD(1)),
    number        UInt32 COMMENT 'from 0, of checks of the same subject in a run' CODEC(ZSTD(1)),
    name          String COMMENT 'of the subject, for people' CODEC(ZSTD(1)),
    source        String COMMENT 'where the list of subjects has it from' CODEC(ZSTD(1)),
    clients       Array(String) COMMENT 'that ship with the entry point' CODEC(ZSTD(1)),
    vantage       LowCardinality(String) CODEC(ZSTD(1)),
    scope         LowCardinality(String) COMMENT 'global, or local: a synthetic network, never a public figure' CODEC(ZSTD(1)),
    software      LowCardinality(String) CODEC(ZSTD(1)),
    checked_at    DateTime64(3, 'UTC') CODEC(ZSTD(1)),
    outcome       LowCardinality(String) COMMENT 'found, not_found, entered, shut_out, or that of a visit' CODEC(ZSTD(1)),
    detail        String CODEC(ZSTD(1)),
    entries       Array(String) COMMENT 'entry points that it began at' CODEC(ZSTD(1)),
    address       IPv6 COMMENT 'of an entry point: that answered, else last tried' CODEC(ZSTD(1)),
    port          UInt16 CODEC(ZSTD(1)),
    agent         LowCardinality(String) COMMENT 'of an entry point' CODEC(ZSTD(1)),
    rtt_ms        Nullable(Float32) COMMENT 'of an entry point' CODEC(ZSTD(1)),
    named         UInt32 COMMENT 'distinct peers that an entry point named in one answer' CODEC(ZSTD(1)),
    took_ms       Nullable(Float32) COMMENT 'of the whole lookup' CODEC(ZSTD(1)),
    first_ms      Nullable(Float32) COMMENT 'until somebody was named who has it; NULL: nobody was' CODEC(ZSTD(1)),
    queries       UInt32 COMMENT 'sent, resends included' CODEC(ZSTD(1)),
    hops          UInt32 COMMENT 'requests one after the other up to the first that named somebody, else to the closest node' CODEC(ZSTD(1)),
    answered      UInt32 COMMENT 'nodes that answered, entry points left out' CODEC(ZSTD(1)),
    closest       UInt32 COMMENT 'of the k closest, that answered' CODEC(ZSTD(1)),
    k             UInt32 CODEC(ZSTD(1)),
    namers        UInt32 COMMENT 'nodes that named somebody who has it' CODEC(ZSTD(1)),
    found         UInt32 COMMENT 'distinct ones who have it' CODEC(ZSTD(1)),
    cut           UInt8 COMMENT '1: more were named than are believed' CODEC(ZSTD(1)),
    seeds         Float64 COMMENT 'estimated from Bloom filters' CODEC(ZSTD(1)),
    leechers      Float64 COMMENT 'estimated from Bloom filters' CODEC(ZSTD(1)),
    filters       UInt32 COMMENT 'nodes whose filters the estimates are made of; 0: there are no estimates' CODEC(ZSTD(1)),
    full_filters  UInt32 COMMENT 'left out because they hold more than they can count' CODEC(ZSTD(1)),
    holder_peer_ids      Array(String) COMMENT 'the holder_ columns are lists of the same length: peers on the same land; empty for people who share' CODEC(ZSTD(1)),
    holder_agents        Array(String) CODEC(ZSTD(1)),
    holder_asns          Array(UInt32) CODEC(ZSTD(1)),
    holder_organisations Array(String) CODEC(ZSTD(1)),
    holder_countries     Array(String) CODEC(ZSTD(1)),
    holder_hostings      Array(String) CODEC(ZSTD(1)),
    holder_counts        Array(UInt32) COMMENT 'how many of them' CODEC(ZSTD(1)),
    facts_source  LowCardinality(String) COMMENT 'data set behind asns, organisations, countries and hostings' CODEC(ZSTD(1)),
    facts_date    String COMMENT 'of that data set' CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(started_at)
ORDER BY (network, run_id, kind, subject, number);

CREATE VIEW IF NOT EXISTS checks AS SELECT * FROM checks_log FINAL;
