// Package chdb runs ClickHouse inside this process. An [Engine] is an
// http.RoundTripper that speaks ClickHouse's HTTP interface, so that the usual
// client reaches the embedded engine as it reaches a server, and an
// [http.Handler] can offer it to other processes.
//
// libchdb is loaded lazily and without cgo; see [Find]. It is the only package
// of Canopy that knows libchdb.
package chdb
