package chdb

import (
	"fmt"
	"regexp"
	"strings"
)

type tokenKind uint8

const (
	tokenWord   tokenKind = iota // a keyword or a bare name
	tokenName                    // a name in backquotes; text is without them
	tokenText                    // a string literal
	tokenNumber                  //
	tokenParam                   // {name:Type}
	tokenSymbol                  // one character
)

// token is a piece of a statement that the engine itself has written: see
// [Engine.normalise].
type token struct {
	kind       tokenKind
	text       string
	start, end int // in the statement
}

// is says whether t is a keyword, or a character that is one.
func (t token) is(word string) bool {
	return (t.kind == tokenWord || t.kind == tokenSymbol) && strings.EqualFold(t.text, word)
}

// named says whether t can be the name of something.
func (t token) named() bool { return t.kind == tokenWord || t.kind == tokenName }

var tokenForms = []struct {
	kind tokenKind
	form *regexp.Regexp
}{
	{tokenWord, regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*`)},
	{tokenName, regexp.MustCompile("^`[^`\\\\\\x00-\\x1f\\x7f]+`")},
	{tokenText, regexp.MustCompile(`^'(?:[^'\\]|\\(?s:.))*'`)},
	{tokenNumber, regexp.MustCompile(`^[0-9][0-9A-Za-z_.]*`)},
	{tokenParam, regexp.MustCompile(`^\{[A-Za-z_]\w*:[\w(), '=-]+\}`)},
	{tokenSymbol, regexp.MustCompile(`^[()\[\],.:=<>!+*/%|?^-]`)},
}

// tokens cuts up a statement as the engine writes it, in which there are no
// comments, no second statements and no other ways to quote. Anything that
// looks like one is an error.
func tokens(statement string) ([]token, error) {
	var list []token
	for at := 0; at < len(statement); {
		if statement[at] == ' ' || statement[at] == '\n' {
			at++
			continue
		}
		t, ok := nextToken(statement[at:])
		if !ok || startsComment(statement[at:]) {
			return nil, fmt.Errorf("%.20q is not understood here", statement[at:])
		}
		t.start, t.end = at, at+t.end
		list, at = append(list, t), t.end
	}
	return list, nil
}

func nextToken(rest string) (token, bool) {
	for _, f := range tokenForms {
		if text := f.form.FindString(rest); text != "" {
			t := token{kind: f.kind, text: text, end: len(text)}
			if f.kind == tokenName {
				t.text = strings.Trim(text, "`")
			}
			return t, true
		}
	}
	return token{}, false
}

func startsComment(rest string) bool {
	return strings.HasPrefix(rest, "--") || strings.HasPrefix(rest, "/*") || strings.HasPrefix(rest, "//")
}
