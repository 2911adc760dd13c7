package chdb

import (
	"fmt"
	"net/http"
)

// refusal is what a client of a served record gets instead of an answer.
type refusal struct {
	status int // of HTTP
	*Exception
}

// refuse makes a refusal with a code of ClickHouse and the name of that code.
func refuse(status, code int, name, format string, args ...any) *refusal {
	text := fmt.Sprintf("Code: %d. DB::Exception: %s (%s)", code, fmt.Sprintf(format, args...), name)
	return &refusal{status, &Exception{code, text}}
}

func accessDenied(format string, args ...any) *refusal {
	return refuse(http.StatusForbidden, 497, "ACCESS_DENIED", format, args...)
}

func readOnly(format string, args ...any) *refusal {
	return refuse(http.StatusForbidden, 164, "READONLY", format, args...)
}

func tooLarge(format string, args ...any) *refusal {
	return refuse(http.StatusRequestEntityTooLarge, 307, "TOO_MANY_BYTES", format, args...)
}

func busy(format string, args ...any) *refusal {
	return refuse(http.StatusServiceUnavailable, 202, "TOO_MANY_SIMULTANEOUS_QUERIES", format, args...)
}

func authenticationFailed(format string, args ...any) *refusal {
	return refuse(http.StatusForbidden, 516, "AUTHENTICATION_FAILED", format, args...)
}

// badRequest is about a request that is no statement at all.
func badRequest(format string, args ...any) *refusal {
	return refuse(http.StatusBadRequest, 36, "BAD_ARGUMENTS", format, args...)
}

// engineRefusal is an exception of the engine as an answer: 400 where the
// statement can't be read, as a ClickHouse server does it, else 500.
func engineRefusal(e *Exception) *refusal {
	const syntaxError = 62
	if e.Code == syntaxError {
		return &refusal{http.StatusBadRequest, e}
	}
	return &refusal{http.StatusInternalServerError, e}
}
