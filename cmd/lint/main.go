// Command lint refuses two habits that make a test prove less than it says: a
// path that the test did not make itself, and a failure that any error at all
// would satisfy. make lint runs it beside golangci-lint.
package main

import "golang.org/x/tools/go/analysis/multichecker"

func main() { multichecker.Main(fixedPath, anyError) }
