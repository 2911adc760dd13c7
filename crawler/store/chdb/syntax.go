package chdb

import (
	"regexp"
	"strings"
)

// node is one line of the syntax tree that EXPLAIN AST prints.
type node struct {
	kind   string // such as Function
	name   string // of a function, a column or a table
	alias  string // of a function
	parent string // kind of the node that holds it, empty for the root
}

// plainKinds are the parts of a query that hold nothing but other parts, or
// values.
var plainKinds = map[string]bool{
	"SelectWithUnionQuery": true, "SelectIntersectExceptQuery": true, "SelectQuery": true, "Subquery": true,
	"ExpressionList": true, "Literal": true, "WithElement": true, "Set": true,
	"Asterisk": true, "QualifiedAsterisk": true, "ColumnsTransformerList": true, "ColumnsExceptTransformer": true,
	"ColumnsReplaceTransformer": true, "ColumnsReplaceTransformer::Replacement": true,
	"ColumnsRegexpMatcher": true, "ColumnsListMatcher": true, "QualifiedColumnsListMatcher": true, "QualifiedColumnsRegexpMatcher": true,
	"TablesInSelectQuery": true, "TablesInSelectQueryElement": true, "TableExpression": true, "TableJoin": true, "ArrayJoin": true,
	"OrderByElement": true, "InterpolateElement": true, "SampleRatio": true, "WindowDefinition": true, "WindowListElement": true,
	"DescribeQuery": true,
}

// namingKinds are the parts that name something, which is judged.
var namingKinds = map[string]bool{"Function": true, "Identifier": true, "TableIdentifier": true, "Explain": true}

// explains are the ways to ask what a query would do that look at the query
// alone.
var explains = map[string]bool{
	"EXPLAIN": true, "EXPLAIN AST": true, "EXPLAIN SYNTAX": true, "EXPLAIN QUERY TREE": true, "EXPLAIN PIPELINE": true, "EXPLAIN ESTIMATE": true,
}

var nodeEnd = regexp.MustCompile(`(?: \(alias ([^\n]*?)\))?(?: \(children \d+\))?$`)

// parseTree reads what EXPLAIN AST printed. A name that holds line breaks adds
// lines, which can only make more of the tree be refused.
func parseTree(text string) []node {
	var tree []node
	var above []string // kinds of the nodes that hold the next one, by depth
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		bare := strings.TrimLeft(line, " ")
		kind, rest, _ := strings.Cut(bare, " ")
		n := node{kind: kind}
		if namingKinds[kind] {
			end := nodeEnd.FindStringSubmatch(rest)
			n.name, n.alias = strings.TrimSuffix(rest, end[0]), end[1]
		}
		depth := min(len(line)-len(bare), len(above))
		if depth > 0 {
			n.parent = above[depth-1]
		}
		above = append(above[:depth], kind)
		tree = append(tree, n)
	}
	return tree
}
