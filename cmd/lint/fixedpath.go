package main

import (
	"go/ast"
	"go/token"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/tools/go/analysis"
)

// fixedPath reports paths of the machine in tests. Where such a path exists, or
// does not, the test proves something else.
var fixedPath = &analysis.Analyzer{
	Name: "fixedpath",
	Doc:  "report string literals in tests that name a path of the machine: a test keeps to what it made below t.TempDir()",
	Run: func(pass *analysis.Pass) (any, error) {
		return nil, eachTestNode(pass, fixedPathReporter{pass, map[ast.Node]bool{}}.visit)
	},
}

// machinePath matches a path below a folder that outlives a test, wherever in a
// text it begins: in a query, a URL or a shell command, too.
var machinePath = regexp.MustCompile(`(?:^|[^\w.}/-]|file://)/(?:tmp|var|home|root|opt|srv|mnt|run|etc|dev/shm)(?:/|$)`)

// fixedPathReporter keeps the literals that continue another text, such as the
// one in dir + "/home": their path begins there.
type fixedPathReporter struct {
	pass      *analysis.Pass
	continues map[ast.Node]bool
}

func (r fixedPathReporter) visit(n ast.Node) {
	if sum, ok := n.(*ast.BinaryExpr); ok && sum.Op == token.ADD {
		if _, text := sum.X.(*ast.BasicLit); !text {
			r.continues[sum.Y] = true
		}
	}
	literal, ok := n.(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING || r.continues[n] {
		return
	}
	text, err := strconv.Unquote(literal.Value)
	if err != nil {
		return // the compiler has reported it
	}
	if found := machinePath.FindString(text); found != "" {
		r.pass.Reportf(literal.Pos(), "fixed path %q in a test: make a file or folder below t.TempDir() and name that", strings.TrimSpace(found))
	}
}

// eachTestNode calls visit for every syntax node of the package's test files.
func eachTestNode(pass *analysis.Pass, visit func(ast.Node)) error {
	for _, file := range pass.Files {
		if !strings.HasSuffix(pass.Fset.File(file.Pos()).Name(), "_test.go") || ignored(file, pass.Analyzer.Name) {
			continue
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if n != nil {
				visit(n)
			}
			return true
		})
	}
	return nil
}

// ignored says whether a file holds a comment that excuses it, with a reason, as
// staticcheck has it: //lint:file-ignore fixedpath these paths are only compared
func ignored(file *ast.File, name string) bool {
	for _, group := range file.Comments {
		for _, comment := range group.List {
			reason, found := strings.CutPrefix(comment.Text, "//lint:file-ignore "+name+" ")
			if found && strings.TrimSpace(reason) != "" {
				return true
			}
		}
	}
	return false
}
