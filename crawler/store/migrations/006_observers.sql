-- Who observes from which vantage, so that two programs do not take one
-- vantage for their own. A row is written again with every beat; one that has
-- not beaten for a while is void. Only stores on a server need it: an embedded
-- one has a lock of its own.
CREATE TABLE IF NOT EXISTS observers_log
(
    vantage    LowCardinality(String),
    observer   UUID COMMENT 'one run of the program',
    host       String,
    pid        UInt32 COMMENT 'process on that host',
    claimed_at DateTime64(3, 'UTC') COMMENT 'when it began, by the clock of the server',
    beat_at    DateTime64(3, 'UTC') COMMENT 'when it was last alive, by the clock of the server',
    released   UInt8 COMMENT '1: it ended'
)
ENGINE = ReplacingMergeTree(beat_at)
ORDER BY (vantage, observer);

CREATE VIEW IF NOT EXISTS observers AS SELECT * FROM observers_log FINAL;
