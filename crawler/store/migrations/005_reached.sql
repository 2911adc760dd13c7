-- How a peer was reached, where its network has several ways: the transport,
-- how long it took until its identity was proven, and the relays it names.
ALTER TABLE visits_log
    ADD COLUMN IF NOT EXISTS transport LowCardinality(String) DEFAULT '' COMMENT 'over which address was contacted, empty where a network has one' CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS relays Array(String) COMMENT 'peer IDs of the relays that it can be reached through' CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS handshake_ms Nullable(Float32) COMMENT 'from dialling to a secured connection, NULL when none stood' CODEC(ZSTD(1));

CREATE OR REPLACE VIEW visits AS
SELECT
    network,
    crawl_id,
    number,
    visited_at,
    peer_id,
    address,
    port,
    transport,
    addresses,
    relays,
    outcome,
    detail,
    agent,
    protocols,
    rtt_ms,
    handshake_ms,
    neighbours,
    partial,
    queries,
    multiIf(
        substringIndex(facts, '\t', 1) = '' OR position(substringIndex(facts, '\t', 1), '/') > 0, toString(substringIndex(facts, '\t', 1)),
        startsWith(IPv6NumToString(address), '::ffff:'),
            concat(substring(IPv6NumToString(tupleElement(IPv6CIDRToRange(address, toUInt8(96 + toUInt8OrZero(substringIndex(facts, '\t', 1)))), 1)), 8), '/', substringIndex(facts, '\t', 1)),
        concat(IPv6NumToString(tupleElement(IPv6CIDRToRange(address, toUInt8OrZero(substringIndex(facts, '\t', 1))), 1)), '/', substringIndex(facts, '\t', 1))) AS prefix,
    CAST(toUInt32OrZero(substringIndex(substringIndex(facts, '\t', 2), '\t', -1)), 'UInt32') AS asn,
    replaceAll(replaceAll(substringIndex(substringIndex(facts, '\t', 3), '\t', -1), '\x02t', '\t'), '\x02b', '\x02') AS organisation,
    replaceAll(replaceAll(substringIndex(substringIndex(facts, '\t', 4), '\t', -1), '\x02t', '\t'), '\x02b', '\x02') AS country,
    replaceAll(replaceAll(substringIndex(substringIndex(facts, '\t', 5), '\t', -1), '\x02t', '\t'), '\x02b', '\x02') AS hosting,
    replaceAll(replaceAll(substringIndex(substringIndex(facts, '\t', 6), '\t', -1), '\x02t', '\t'), '\x02b', '\x02') AS facts_source,
    CAST(toDateOrZero(substringIndex(facts, '\t', -1)), 'Date') AS facts_date
FROM visits_log FINAL;
