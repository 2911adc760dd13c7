// Package store keeps the record: crawls, visits, edges and probes, in
// ClickHouse, be it a server or the engine embedded in this process. Both are
// reached through the same client and hold the same schema; see migrations.
//
// A [Store] takes rows at least once. Every row has an identity, and the views
// that readers use show each exactly once.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"

	"canopy/crawler/observation"
	"canopy/crawler/store/chdb"
)

// Errors that a caller may want to tell apart.
var (
	ErrURL         = errors.New("read store URL")
	ErrNoStore     = errors.New("there is no record here yet: make one with a crawl or `canopy store migrate`, or name the right folder with --store")
	ErrNoTables    = errors.New("store has no tables: run `canopy store migrate` or a crawl first")
	ErrOldSchema   = errors.New("store has an older schema: run `canopy store migrate`")
	ErrNewerSchema = errors.New("store has a newer schema than this program knows: upgrade canopy")
	ErrOldServer   = errors.New("ClickHouse is too old: Canopy needs 23.8 or later")
)

// Options are optional; the zero value means the defaults that it names.
type Options struct {
	Logger     *slog.Logger  // nothing is logged without one
	ReadOnly   bool          // the engine refuses whatever would change the store, which must exist
	MustExist  bool          // an embedded store is not created: see [ErrNoStore]
	BatchRows  int           // rows of one insert at most, default 100,000
	FlushEvery time.Duration // longest wait of a row in memory, default 1 s
	MaxPending int           // rows of one table in memory, default 400,000

	InsertTimeout time.Duration // after which an insert has failed, default 15 s
	Spool         string        // folder for rows that the store can't take; default: DIR.spool for chdb:DIR, else canopy-spool; "none" for none
	SpoolBytes    int64         // room of the spool on disk, default 4 GiB
	StallLimit    time.Duration // how long writers wait when memory and spool are full, default 10 min
	SettleWithin  time.Duration // how long EndCrawl waits for the spool to empty, default 5 min
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.BatchRows <= 0 {
		o.BatchRows = 100_000
	}
	if o.FlushEvery <= 0 {
		o.FlushEvery = time.Second
	}
	if o.MaxPending <= 0 {
		o.MaxPending = 400_000
	}
	if o.InsertTimeout <= 0 {
		o.InsertTimeout = 15 * time.Second
	}
	if o.SpoolBytes <= 0 {
		o.SpoolBytes = 4 << 30
	}
	if o.StallLimit <= 0 {
		o.StallLimit = 10 * time.Minute
	}
	if o.SettleWithin <= 0 {
		o.SettleWithin = 5 * time.Minute
	}
	return o
}

// NoSpool as Options.Spool keeps rows that the store can't take in memory only.
const NoSpool = "none"

// Store is one open record. Its methods may be called from several goroutines.
type Store struct {
	opt    Options
	target *target
	engine *chdb.Engine // nil for a server
	admin  driver.Conn  // without a database, which may not exist yet
	conn   driver.Conn  // for writing
	db     *sql.DB      // for reading

	transport http.RoundTripper // for what passes the client by

	version string // of the engine

	writing chan struct{} // holds one token: who has it may insert
	visits  *queue[observation.Visit]
	edges   *queue[observation.Edge]
	probes  *queue[observation.Probe]
	tallies tallies

	spool *spool      // nil without one
	took  atomic.Bool // the store has taken rows from this process
	ready atomic.Bool // the schema was seen to be up to date

	observer uuid.UUID // that has claimed a vantage through this Store; zeros: none
	vantage  string    // that it has claimed

	stalled atomic.Int64 // nanoseconds that writers stood still, since a crawl ended

	start sync.Once
	wake  chan struct{}
	stop  context.CancelFunc
	done  chan struct{} // closed when the background writers have ended
}

// Open reaches the store at url:
//
//	chdb:DIR[?database=NAME]                    the engine embedded in this process
//	clickhouse://user:pass@host:9000/db         a server's native protocol
//	http://user:pass@host:8123/db, https://...  a server's HTTP interface
//
// With the option cluster=NAME a server's URL means the whole cluster: see
// docs/server.md. The database is "canopy" unless url names another. Open refuses engines
// before 23.8 ([ErrOldServer]), stores with a schema of the future
// ([ErrNewerSchema]), and embedded ones that do not exist but must ([ErrNoStore]). It changes nothing in the store; see [Store.Migrate] and
// [Store.Ready]. No error tells a password.
func Open(ctx context.Context, url string, opt Options) (*Store, error) {
	t, err := parseURL(url)
	if err != nil {
		return nil, err
	}
	s := &Store{opt: opt.withDefaults(), target: t, writing: make(chan struct{}, 1), wake: make(chan struct{}, 1)}
	s.visits = newQueue("visits_log", visitColumns, s.opt.MaxPending)
	s.edges = newQueue("edges_log", edgeColumns, s.opt.MaxPending)
	s.probes = newQueue("probes_log", probeColumns, s.opt.MaxPending)
	s.writing <- struct{}{}
	if dir := s.spoolDir(); dir != "" && !opt.ReadOnly {
		s.spool = newSpool(dir, s.opt.SpoolBytes, s.opt.Logger)
	}
	if err := s.connect(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Store) connect(ctx context.Context) (err error) {
	if s.target.dir != "" {
		if (s.opt.ReadOnly || s.opt.MustExist) && !chdb.Exists(s.target.dir) {
			return fmt.Errorf("open store %s: %w", s.target.name, ErrNoStore)
		}
		if s.engine, err = chdb.Open(s.target.dir); err != nil {
			return fmt.Errorf("open store %s: %w", s.target.name, err)
		}
		s.transport = s.engine
		s.target.options.TransportFunc = func(*http.Transport) (http.RoundTripper, error) { return s.engine, nil }
	} else {
		s.transport = s.target.newTransport()
	}
	// The version comes first: old servers refuse what comes next, or hang.
	if s.version, err = s.askVersion(ctx); err != nil {
		return fmt.Errorf("open store %s: %w", s.target.name, err)
	}
	if err := checkVersion(s.version); err != nil {
		return fmt.Errorf("open store %s: %w", s.target.name, err)
	}
	if err := s.openClients(ctx); err != nil {
		return fmt.Errorf("open store %s: %w", s.target.name, err)
	}
	have, err := s.schemaVersion(ctx)
	if err != nil {
		return fmt.Errorf("open store %s: %w", s.target.name, err)
	}
	if latest := latestVersion(migrationFiles); have > latest {
		return fmt.Errorf("open store %s: %w (store %d, program %d)", s.target.name, ErrNewerSchema, have, latest)
	}
	return nil
}

func (s *Store) openClients(ctx context.Context) (err error) {
	if s.admin, err = clickhouse.Open(s.target.withDatabase("")); err != nil {
		return err
	}
	if s.opt.ReadOnly {
		if err := s.restrict(ctx); err != nil {
			return err
		}
	}
	if s.conn, err = clickhouse.Open(s.target.withDatabase(s.target.database)); err != nil {
		return err
	}
	s.db = clickhouse.OpenDB(s.target.withDatabase(s.target.database))
	return nil
}

// longQuery is the length of the longest query, in bytes: one that names each
// crawl of ten years, made every hour, several times.
const longQuery = 64 << 20

// restrict makes everything that is opened after it read-only, and lets it ask
// long questions. A user whose profile says so already may not even ask for it.
func (s *Store) restrict(ctx context.Context) error {
	var level string
	if err := s.admin.QueryRow(ctx, "SELECT toString(getSetting('readonly'))").Scan(&level); err != nil {
		return fmt.Errorf("ask for rights: %w", err)
	}
	if level == "0" {
		s.target.options.Settings["readonly"] = 2
	}
	if level != "1" {
		s.target.options.Settings["max_query_size"] = longQuery
	}
	return nil
}

// DB reads the store. Named arguments are written @name in a query and given
// as sql.Named.
func (s *Store) DB() *sql.DB { return s.db }

// Ready says whether the store holds the tables of this program's schema, and
// returns [ErrNoTables] or [ErrOldSchema] with the way out otherwise.
func (s *Store) Ready(ctx context.Context) error {
	have, err := s.schemaVersion(ctx)
	switch {
	case err != nil:
		return err
	case have == 0:
		return ErrNoTables
	case have < latestVersion(migrationFiles):
		return ErrOldSchema
	}
	s.ready.Store(true)
	return nil
}

// Close writes what is still in memory, to the store or to the spool, and lets
// go of both. An error means that rows are lost.
func (s *Store) Close() error {
	var errs []error
	if s.done != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		errs = append(errs, s.flushPatiently(ctx))
		s.stop()
		<-s.done
	}
	s.leaveAll()
	if s.spool != nil {
		if _, rows, _ := s.spool.pending(); rows > 0 {
			s.opt.Logger.Warn("rows wait in the spool; the next run on this store sends them", "rows", rows, "spool", s.spool.dir)
		}
		s.spool.close()
	}
	for _, c := range []driver.Conn{s.conn, s.admin} {
		if c != nil {
			errs = append(errs, c.Close())
		}
	}
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	if idle, ok := s.transport.(interface{ CloseIdleConnections() }); ok {
		idle.CloseIdleConnections()
	}
	if s.engine != nil {
		errs = append(errs, s.engine.Close())
	}
	return errors.Join(errs...)
}
