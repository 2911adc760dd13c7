package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"canopy/crawler/columns"
	"canopy/crawler/monitor"
	"canopy/crawler/observation"
)

// observeStatus is what canopy observe --status shows.
type observeStatus struct {
	Healthy   bool            `json:"healthy"`
	Trouble   []string        `json:"trouble"` // one sentence each
	Software  string          `json:"software"`
	PID       int             `json:"pid"`
	Vantage   string          `json:"vantage"`
	StartedAt time.Time       `json:"started_at"`
	Networks  []networkStatus `json:"networks"`
	Report    reportState     `json:"report"`
	Data      taskState       `json:"address_data"`
	Checks    taskState       `json:"checks"`
	Rows      rowStatus       `json:"rows_written"`
	Spool     int64           `json:"spool_bytes"` // that wait for the store
	Disk      uint64          `json:"store_bytes"`
}

type networkStatus struct {
	Network string        `json:"network"`
	Crawl   crawlState    `json:"crawl"`
	Watch   monitor.Stats `json:"watch"`
}

type rowStatus struct {
	Crawls uint64 `json:"crawls"`
	Visits uint64 `json:"visits"`
	Edges  uint64 `json:"edges"`
	Probes uint64 `json:"probes"`
}

// status describes the observer as it is now.
func (ob *observer) status(ctx context.Context) observeStatus {
	s := observeStatus{
		Trouble: []string{}, Software: software(), PID: os.Getpid(), Vantage: ob.options.vantage, StartedAt: ob.started.UTC(),
		Rows: rowStatus{ob.rows.crawls.Load(), ob.rows.visits.Load(), ob.rows.edges.Load(), ob.rows.probes.Load()},
	}
	ob.mu.Lock()
	s.Report, s.Data, s.Checks = ob.report, ob.data, ob.checks
	ob.mu.Unlock()
	if trouble := ob.dataTrouble(s.Data, time.Now()); trouble != "" {
		s.Trouble = append(s.Trouble, trouble)
	}
	if s.Report.Trouble != "" {
		s.Trouble = append(s.Trouble, "The last report failed: "+s.Report.Trouble)
	}
	if s.Checks.Trouble != "" {
		s.Trouble = append(s.Trouble, "The last check of the commons failed: "+s.Checks.Trouble)
	}
	for _, n := range ob.networks {
		ns := n.status()
		s.Networks = append(s.Networks, ns)
		s.Trouble = append(s.Trouble, ns.trouble()...)
	}
	if s.Spool = ob.record.SpooledBytes(); s.Spool > 0 {
		s.Trouble = append(s.Trouble, bytesText(uint64(s.Spool))+" wait on disk for the store.")
	}
	row := ob.record.DB().QueryRowContext(ctx, "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = currentDatabase()")
	if err := row.Scan(&s.Disk); err != nil && ctx.Err() == nil {
		s.Trouble = append(s.Trouble, "The store does not answer: "+err.Error())
	}
	s.Healthy = len(s.Trouble) == 0
	return s
}

func (n *observedNetwork) status() networkStatus {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := networkStatus{Network: n.name, Crawl: n.state, Watch: n.monitor.Stats()}
	s.Crawl.Crawls = map[string]uint64{}
	for state, count := range n.state.Crawls {
		s.Crawl.Crawls[state] = count
	}
	return s
}

// tooLate is from when late probes are trouble.
const tooLate = 5 * time.Minute

func (s networkStatus) trouble() (lines []string) {
	if s.Crawl.Trouble != "" {
		lines = append(lines, fmt.Sprintf("The last crawl of %s failed: %s", s.Network, s.Crawl.Trouble))
	}
	if !s.Watch.Trusted {
		lines = append(lines, fmt.Sprintf("Probes of %s do not count: %s.", s.Network, s.Watch.Last))
	}
	if s.Watch.Unsent > 0 {
		lines = append(lines, fmt.Sprintf("%s probes of %s wait for the store.", count(s.Watch.Unsent), s.Network))
	}
	if s.Watch.Late > tooLate.Seconds() {
		lines = append(lines, fmt.Sprintf("Probes of %s are %.0f minutes late: raise watch-rate or lower watch-share.", s.Network, s.Watch.Late/60))
	}
	return lines
}

// serve answers /metrics, /health and /status until stop is called.
func (ob *observer) serve(listener net.Listener) (stop func()) {
	if !isLoopback(listener.Addr()) {
		ob.logger.Warn("metrics and status can be read from other machines", "address", listener.Addr())
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", ob.metrics())
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, r *http.Request) {
		s := ob.status(r.Context())
		code := http.StatusOK
		if !s.Healthy {
			code = http.StatusServiceUnavailable
		}
		replyJSON(w, code, map[string]any{"healthy": s.Healthy, "trouble": s.Trouble})
	})
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) { replyJSON(w, http.StatusOK, ob.status(r.Context())) })
	server := &http.Server{Handler: guardWeb(listener.Addr(), hostOf(ob.options.listen), mux), ReadTimeout: 10 * time.Second, ReadHeaderTimeout: 10 * time.Second, WriteTimeout: time.Minute}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			ob.logger.Error("serve metrics and status", "error", err)
		}
	}()
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			_ = server.Close()
		}
		<-done
	}
}

func replyJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // who asked has gone
}

// printObserveStatus asks the observer that runs on this machine.
func (a *app) printObserveStatus(ctx context.Context, listen string) error {
	if listen == "" {
		return usagef("observe --status: the observer listens nowhere: set listen")
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+listen+"/status", nil)
	if err != nil {
		return usagef("observe --status: listen %q: %w", listen, err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask the observer: %w; is it running, and does it listen at %s?", err, listen)
	}
	defer res.Body.Close() //nolint:errcheck // only read
	body, err := io.ReadAll(io.LimitReader(res.Body, 16<<20))
	var s observeStatus
	if err == nil {
		err = json.Unmarshal(body, &s)
	}
	if err != nil || res.StatusCode != http.StatusOK || s.Software == "" {
		return fmt.Errorf("ask the observer: what listens at %s is no canopy observe (status %d)", listen, res.StatusCode)
	}
	if a.json {
		err = a.printJSON(s)
	} else if err = s.print(a.stdout, time.Now()); err != nil {
		err = fmt.Errorf("write output: %w", err)
	}
	if err == nil && !s.Healthy {
		return degradedError{observation.Text(strings.Join(s.Trouble, " "))}
	}
	return err
}

// print writes the status for people.
func (s observeStatus) print(w io.Writer, now time.Time) error {
	tw := columns.New(w, 0)
	fmt.Fprintf(tw, "observer\t%s, vantage %s, process %d, running for %s\n", s.Software, observation.Text(s.Vantage), s.PID, now.Sub(s.StartedAt).Round(time.Second))
	for _, n := range s.Networks {
		fmt.Fprintf(tw, "%s\tlast crawl\t%s\n", n.Network, lastCrawlText(n.Crawl.Last, now))
		fmt.Fprintf(tw, "\tnext crawl\t%s\n", nextCrawlText(n.Crawl, now))
		fmt.Fprintf(tw, "\tpeers watched\t%s, of which up %s; %.3g %% of all\n", count(n.Watch.Watched), count(n.Watch.Up), 100*n.Watch.Share)
		fmt.Fprintf(tw, "\tprobes\t%s, in %s void rounds nobody left\n", count(n.Watch.Probes), count(n.Watch.Void))
	}
	fmt.Fprintf(tw, "report\tlast\t%s\n", momentText(s.Report.Last, now))
	fmt.Fprintf(tw, "\tnext\t%s\n", momentText(s.Report.Next, now))
	fmt.Fprintf(tw, "address data\trefreshed\t%s\n", momentText(s.Data.Last, now))
	fmt.Fprintf(tw, "\tnext\t%s\n", momentText(s.Data.Next, now))
	if s.Data.Trouble != "" {
		fmt.Fprintf(tw, "\tkept as they are\t%s\n", observation.Text(s.Data.Trouble))
	}
	if s.Checks.Next != nil {
		fmt.Fprintf(tw, "checks\tlast\t%s\n", momentText(s.Checks.Last, now))
		fmt.Fprintf(tw, "\tnext\t%s\n", momentText(s.Checks.Next, now))
	}
	fmt.Fprintf(tw, "rows written\t%s visits, %s probes, %s edges, %s crawls since the start\n", count(s.Rows.Visits), count(s.Rows.Probes), count(s.Rows.Edges), count(s.Rows.Crawls))
	fmt.Fprintf(tw, "spool\t%s\n", bytesText(uint64(s.Spool)))
	fmt.Fprintf(tw, "disk\t%s in the store\n", bytesText(s.Disk))
	for _, line := range s.Trouble {
		fmt.Fprintf(tw, "trouble\t%s\n", observation.Text(line))
	}
	if s.Healthy {
		fmt.Fprintln(tw, "trouble\tnone")
	}
	return tw.Flush()
}

func lastCrawlText(c *observation.Crawl, now time.Time) string {
	if c == nil {
		return "none yet"
	}
	return fmt.Sprintf("%s, ended %s, %s discovered, %s reachable", c.State, momentText(&c.EndedAt, now), count(c.Discovered), count(c.Reachable))
}

func nextCrawlText(s crawlState, now time.Time) string {
	if s.Crawling {
		return "under way"
	}
	return momentText(s.Next, now)
}

func momentText(t *time.Time, now time.Time) string {
	if t == nil {
		return "none"
	}
	away := t.Sub(now).Round(time.Second)
	text := fmt.Sprintf("in %s", away)
	if away <= 0 {
		text = fmt.Sprintf("%s ago", -away)
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC") + " (" + text + ")"
}

func bytesText(n uint64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	v, unit := float64(n), 0
	for v >= 1024 && unit < len(units)-1 {
		v, unit = v/1024, unit+1
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0") + " " + units[unit]
}

// sortedStates lists the states of crawls that were counted.
func sortedStates(m map[string]uint64) []string {
	var states []string
	for s := range m {
		states = append(states, s)
	}
	slices.Sort(states)
	return states
}
