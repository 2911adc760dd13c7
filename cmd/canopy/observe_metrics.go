package main

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics answers a Prometheus scrape.
func (ob *observer) metrics() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), statusCollector{ob})
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
}

// statusCollector tells the status as metrics, so that both never differ.
type statusCollector struct{ ob *observer }

// Describe sends nothing: which metrics there are depends on the networks.
func (statusCollector) Describe(chan<- *prometheus.Desc) {}

const scrapePatience = 10 * time.Second

// Collect reads the status once.
func (c statusCollector) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapePatience)
	defer cancel()
	s := c.ob.status(ctx)
	send := func(kind prometheus.ValueType, name, help string, value float64, labels ...string) {
		var names, values []string
		for i := 0; i < len(labels); i += 2 {
			names, values = append(names, labels[i]), append(values, labels[i+1])
		}
		to <- prometheus.MustNewConstMetric(prometheus.NewDesc("canopy_"+name, help, names, nil), kind, value, values...)
	}
	gauge := func(name, help string, value float64, labels ...string) {
		send(prometheus.GaugeValue, name, help, value, labels...)
	}
	counter := func(name, help string, value float64, labels ...string) {
		send(prometheus.CounterValue, name, help, value, labels...)
	}
	gauge("healthy", "1 when nothing is in trouble.", truth(s.Healthy))
	gauge("store_bytes", "Size of the record on disk.", float64(s.Disk))
	gauge("spool_bytes", "Rows on disk that wait for the store.", float64(s.Spool))
	for table, rows := range map[string]uint64{"crawls": s.Rows.Crawls, "visits": s.Rows.Visits, "edges": s.Rows.Edges, "probes": s.Rows.Probes} {
		counter("rows_written_total", "Rows handed to the store since the start.", float64(rows), "table", table)
	}
	gauge("report_last_timestamp_seconds", "When the last report was written, 0 for never.", unix(s.Report.Last))
	gauge("address_data_last_refresh_timestamp_seconds", "When address data were last refreshed whole, 0 for never.", unix(s.Data.Last))
	for _, n := range s.Networks {
		n.collect(gauge, counter)
	}
}

func (s networkStatus) collect(gauge, counter func(name, help string, value float64, labels ...string)) {
	network := []string{"network", s.Network}
	for _, state := range sortedStates(s.Crawl.Crawls) {
		counter("crawls_total", "Crawls that ended since the start, by state.", float64(s.Crawl.Crawls[state]), append(network, "state", state)...)
	}
	gauge("crawl_running", "1 while a crawl is under way.", truth(s.Crawl.Crawling), network...)
	gauge("crawl_next_timestamp_seconds", "When the next crawl starts.", unix(s.Crawl.Next), network...)
	if c := s.Crawl.Last; c != nil {
		gauge("crawl_last_end_timestamp_seconds", "When the last crawl ended.", unix(&c.EndedAt), network...)
		gauge("crawl_discovered_peers", "Peers named by somebody in the last crawl.", float64(c.Discovered), network...)
		gauge("crawl_reachable_peers", "Peers that answered in the last crawl.", float64(c.Reachable), network...)
	}
	gauge("watched_peers", "Peers that are probed between crawls.", float64(s.Watch.Watched), network...)
	gauge("watched_peers_up", "Watched peers that are up.", float64(s.Watch.Up), network...)
	gauge("watched_share", "Share of all peers that is watched.", s.Watch.Share, network...)
	counter("probes_total", "Probes recorded since the start.", float64(s.Watch.Probes), network...)
	counter("void_rounds_total", "Rounds of probes that did not count, since the start.", float64(s.Watch.Void), network...)
	gauge("probes_trusted", "0 while our own network is in doubt.", truth(s.Watch.Trusted), network...)
	gauge("probe_late_seconds", "How late the latest due probe is.", s.Watch.Late, network...)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func unix(t *time.Time) float64 {
	if t == nil || t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
