-- Fewer bytes a visit, and probes that say from where they were made.
--
-- What used to be written into peer_id, address and rtt_ms of visits_log is in
-- columns that are shorter on disk; the old ones hold what does not fit and
-- what was written before. Readers of the view see no difference.
--   id    an ID of 40 hexadecimal digits as 20 bytes, else zeros
--   host  the last 16 bits of an IPv4 address whose first 16 stand in facts,
--         after the date: they say the same of most peers, and so cost nothing
--   rtt   the first 16 bits of a Float32 of milliseconds, a third of a percent
-- visited_at is kept to 128 ms.
--
-- Measured on 400,000 made-up Mainline visits, in bytes a row: peer_id 20.3, as
-- id 20.0; address and facts 5.8, as host and facts 4.5; rtt_ms 1.6, as rtt
-- 0.9; visited_at 1.6, to 128 ms 0.7.
ALTER TABLE visits_log
    ADD COLUMN IF NOT EXISTS id FixedString(20) COMMENT 'peer_id, if that is 40 hexadecimal digits' CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS host UInt16 COMMENT 'end of an IPv4 address whose beginning is in facts' CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS rtt UInt16 COMMENT 'first 16 bits of rtt_ms, 0 when nothing was measured' CODEC(ZSTD(1)),
    MODIFY COLUMN visited_at DateTime64(3, 'UTC') CODEC(T64('bit'), ZSTD(1));

CREATE OR REPLACE VIEW visits AS
WITH toUInt32OrZero(substringIndex(facts, '\t', -1)) AS net
SELECT
    network,
    crawl_id,
    number,
    visited_at,
    if(id = toFixedString('', 20), peer_id, lower(hex(id))) AS peer_id,
    if(net = 0, address, IPv4ToIPv6(CAST(toUInt32(net * 65536 + host), 'IPv4'))) AS address,
    port,
    transport,
    addresses,
    relays,
    outcome,
    detail,
    agent,
    protocols,
    if(rtt > 0, toNullable(reinterpretAsFloat32(toUInt32(rtt * 65536))), rtt_ms) AS rtt_ms,
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
    CAST(toDateOrZero(substringIndex(substringIndex(facts, '\t', 7), '\t', -1)), 'Date') AS facts_date
FROM visits_log FINAL;

-- What two observers see of a peer at one moment are two probes.
ALTER TABLE probes_log
    ADD COLUMN IF NOT EXISTS vantage LowCardinality(String) COMMENT 'the steward''s name for where we look from' CODEC(ZSTD(1)),
    MODIFY ORDER BY (network, peer_id, address, port, probed_at, vantage);

CREATE OR REPLACE VIEW probes AS SELECT * FROM probes_log FINAL;

-- Sessions as 002_sessions.sql tells, of each vantage apart, from what was
-- recorded in a span of time: months outside are not read. Probes from before
-- they had a vantage belong to the only one there was, if there was one.
CREATE OR REPLACE VIEW sessions_between AS
WITH
    (SELECT groupUniqArray(toString(network)) FROM crawls_log WHERE position(JSONExtractString(settings, 'network', 'identity'), 'endpoint') > 0) AS by_endpoint,
    (SELECT if(uniqExact(toString(vantage)) = 1, any(toString(vantage)), '') FROM crawls_log) AS only_vantage,
    4 * 3600000 AS hour
SELECT
    network,
    vantage,
    peer_id,
    where_up.1 AS address,
    where_up.2 AS port,
    if(session.2.1 = 0 AND session.2.4 > 0, fromUnixTimestamp64Milli(toInt64(intDiv(session.2.3, 4)), 'UTC'), NULL) AS last_down_before,
    fromUnixTimestamp64Milli(toInt64(intDiv(session.1.2, 4)), 'UTC') AS first_up,
    fromUnixTimestamp64Milli(toInt64(intDiv(session.1.3, 4)), 'UTC') AS last_up,
    if(reason = 'departed', fromUnixTimestamp64Milli(toInt64(intDiv(session.3.2, 4)), 'UTC'), NULL) AS first_down_after,
    session.1.4 AS probes,
    multiIf(session.3.4 = 0, 'open', session.3.1 = 1, 'gap', session.3.5 = 1, 'changed_identity', 'departed') AS reason
FROM
(
    SELECT
        network,
        vantage,
        peer_id,
        where_up,
        -- (is it up, first fact, last fact, how many, did somebody else answer)
        arrayMap(r -> (toUInt8(r[1] % 4 = 1), r[1], r[-1], toUInt32(length(r)), toUInt8(r[1] % 4 = 3 OR r[2] % 4 = 3)),
            arraySplit((f, p) -> (f % 4 = 1) != (p % 4 = 1) OR (f % 4 = 1 AND f - p > hour), facts, arraySlice(arrayPushFront(facts, facts[1]), 1, length(facts)))) AS all_runs,
        arrayFilter(r -> r.1 = 1 OR r.4 > 1, all_runs) AS runs,
        arrayMap(g -> (g[1].1, g[1].2, g[-1].3, toUInt32(arraySum(r -> r.4, g)), g[1].5),
            arraySplit((r, p) -> r.1 = 0 OR p.1 = 0 OR r.2 - p.3 > hour, runs, arraySlice(arrayPushFront(runs, runs[1]), 1, length(runs)))) AS groups,
        arrayFilter(s -> s.1.1 = 1, arrayZip(groups,
            arraySlice(arrayPushFront(groups, defaultValueOfArgumentType(groups[1])), 1, length(groups)),
            arraySlice(arrayPushBack(groups, defaultValueOfArgumentType(groups[1])), 2))) AS list -- (session, what came before, what came after)
    FROM
    (
        SELECT
            network,
            vantage,
            peer_id,
            if(has(by_endpoint, toString(network)), (address, port), (toIPv6('::'), toUInt16(0))) AS endpoint,
            argMaxIf((address, port), fact, fact % 4 = 1) AS where_up,
            arrayCompact(arraySort(groupArray(fact))) AS facts
        FROM
        (
            SELECT
                network,
                if(vantage = '', only_vantage, toString(vantage)) AS vantage,
                peer_id,
                address,
                port,
                toUInt64(toUnixTimestamp64Milli(probed_at)) * 4 + kind AS fact,
                multiIf(outcome = 'answered', 1, outcome = 'wrong_identity', 3,
                    outcome IN ('timeout', 'refused', 'unreachable', 'reset', 'handshake_error', 'wrong_protocol'), 2, 0) AS kind
            FROM probes_log
            WHERE probed_at >= {from:DateTime64(3, 'UTC')} AND probed_at < {to:DateTime64(3, 'UTC')} AND (kind = 1 OR kind > 1 AND control_ok = 1)
            UNION ALL
            SELECT
                network,
                vantage,
                peer_id,
                address,
                port,
                fact,
                kind
            FROM
            (
                SELECT
                    network,
                    crawl_id,
                    if(id = toFixedString('', 20), peer_id, lower(hex(id))) AS peer_id,
                    toUInt32OrZero(substringIndex(facts, '\t', -1)) AS net,
                    if(net = 0, address, IPv4ToIPv6(CAST(toUInt32(net * 65536 + host), 'IPv4'))) AS address,
                    port,
                    toUInt64(toUnixTimestamp64Milli(visited_at)) * 4 + kind AS fact,
                    multiIf(outcome = 'answered', 1, outcome = 'wrong_identity', 3,
                        outcome IN ('timeout', 'refused', 'unreachable', 'reset', 'handshake_error', 'wrong_protocol'), 2, 0) AS kind
                FROM visits_log
                WHERE visited_at >= {from:DateTime64(3, 'UTC')} AND visited_at < {to:DateTime64(3, 'UTC')} AND kind > 0
            ) AS visit
            INNER JOIN (SELECT crawl_id, toString(vantage) AS vantage, state FROM crawls_log FINAL) AS crawl ON crawl.crawl_id = visit.crawl_id
            WHERE (kind = 1 OR state IN ('complete', 'cut_short'))
                AND (network, vantage, peer_id) IN (
                    SELECT network, if(vantage = '', only_vantage, toString(vantage)), peer_id FROM probes_log
                    WHERE probed_at >= {from:DateTime64(3, 'UTC')} AND probed_at < {to:DateTime64(3, 'UTC')})
        )
        GROUP BY network, vantage, peer_id, endpoint
    )
)
ARRAY JOIN list AS session;

CREATE OR REPLACE VIEW sessions AS
SELECT * FROM sessions_between(from = '1970-01-01 00:00:00', to = '2106-01-01 00:00:00');
