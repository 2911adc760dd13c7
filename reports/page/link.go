package page

import (
	"net/url"
	"strings"
)

// Beside is the link to a file beside the page, or in folders beside it, by the
// name of each. It leads there whatever the names hold: the dot in front keeps
// a name with a colon from being taken for the scheme of an address, and what
// else means something in an address is escaped. It is empty if no link can lead
// there: a name is none, or leads elsewhere.
func Beside(names ...string) string {
	var link strings.Builder
	link.WriteByte('.')
	for _, name := range names {
		if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
			return ""
		}
		link.WriteByte('/')
		link.WriteString(url.PathEscape(name))
	}
	return link.String()
}

// Within is the link to a place in the page by its ID.
func Within(id string) string {
	return "#" + strings.ReplaceAll(url.PathEscape(id), ":", "%3A") // a colon would end a scheme
}
