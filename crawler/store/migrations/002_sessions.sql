-- Sessions of the peers that are watched, from probes and from visits of
-- crawls, as interval-censored facts.
--
-- A peer is an ID, or an ID at an endpoint in networks whose description says
-- so. Of each peer, the facts that count are put in order of time, each as one
-- number: milliseconds * 4 + kind, where kind is 1 up, 2 down, 3 answered as
-- somebody else. Outcomes that leave open whether the peer is there are no
-- facts, nor are failures in a void round of probes or in a crawl that had
-- trouble of its own; an answer is a fact always.
-- A replayed row gives the same number twice, which arrayCompact mends, so the
-- tables are read without FINAL.
--
-- Runs of equal kind are then joined: fewer than two misses between two
-- answers close nothing, but an hour without an answer leaves open what was in
-- between. Nothing here uses a window function or a captured array: ten
-- million probes take seconds.
CREATE VIEW IF NOT EXISTS sessions AS
WITH
    (SELECT groupUniqArray(toString(network)) FROM crawls_log WHERE position(JSONExtractString(settings, 'network', 'identity'), 'endpoint') > 0) AS by_endpoint,
    4 * 3600000 AS hour
SELECT
    network,
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
            peer_id,
            if(has(by_endpoint, toString(network)), (address, port), (toIPv6('::'), toUInt16(0))) AS endpoint,
            argMaxIf((address, port), fact, fact % 4 = 1) AS where_up,
            arrayCompact(arraySort(groupArray(fact))) AS facts
        FROM
        (
            SELECT
                network,
                peer_id,
                address,
                port,
                toUInt64(toUnixTimestamp64Milli(probed_at)) * 4 + kind AS fact,
                multiIf(outcome = 'answered', 1, outcome = 'wrong_identity', 3,
                    outcome IN ('timeout', 'refused', 'unreachable', 'reset', 'handshake_error', 'wrong_protocol'), 2, 0) AS kind
            FROM probes_log
            WHERE kind = 1 OR kind > 1 AND control_ok = 1
            UNION ALL
            SELECT
                network,
                peer_id,
                address,
                port,
                toUInt64(toUnixTimestamp64Milli(visited_at)) * 4 + kind AS fact,
                multiIf(outcome = 'answered', 1, outcome = 'wrong_identity', 3,
                    outcome IN ('timeout', 'refused', 'unreachable', 'reset', 'handshake_error', 'wrong_protocol'), 2, 0) AS kind
            FROM visits_log
            WHERE kind > 0
                AND (network, peer_id) IN (SELECT network, peer_id FROM probes_log)
                AND (kind = 1 OR crawl_id IN (SELECT crawl_id FROM crawls_log FINAL WHERE state IN ('complete', 'cut_short')))
        )
        GROUP BY network, peer_id, endpoint
    )
)
ARRAY JOIN list AS session;
