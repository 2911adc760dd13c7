-- Which programs the crawls belong to that are marked running, so that a crawl
-- whose program was killed does not stay so for good, and one that goes on is
-- never taken for dead. A row is written again with every beat, by the clock of
-- the server. pid names a process within place only: a boot of a machine and a
-- namespace of process IDs, as containers have their own.
CREATE TABLE IF NOT EXISTS heartbeats_log
(
    network  LowCardinality(String) CODEC(ZSTD(1)),
    crawl_id UUID CODEC(ZSTD(1)),
    observer UUID COMMENT 'of observers, whose crawl it is; zeros: no observer''s' CODEC(ZSTD(1)),
    host     String COMMENT 'where it runs, for people' CODEC(ZSTD(1)),
    pid      UInt32 COMMENT 'process ID' CODEC(ZSTD(1)),
    place    String COMMENT 'where pid means something; empty: not known' CODEC(ZSTD(1)),
    begun    UInt64 COMMENT 'clock ticks from boot to the beginning of the process; 0: not known' CODEC(ZSTD(1)),
    embedded UInt8 COMMENT '1: it had the folder of the record open, which only one program can' CODEC(ZSTD(1)),
    beat_at  DateTime64(3, 'UTC') COMMENT 'last sign of life, by the clock of the server' CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree(beat_at)
ORDER BY (network, crawl_id);

CREATE VIEW IF NOT EXISTS heartbeats AS SELECT * FROM heartbeats_log FINAL;

-- The same of observers.
ALTER TABLE observers_log
    ADD COLUMN IF NOT EXISTS place String COMMENT 'where pid means something; empty: not known',
    ADD COLUMN IF NOT EXISTS begun UInt64 COMMENT 'clock ticks from boot to the beginning of the process; 0: not known';

CREATE OR REPLACE VIEW observers AS SELECT * FROM observers_log FINAL;
