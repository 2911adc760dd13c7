package operator

// For tests of what other packages make of judged groups.
var (
	Varied = varied
	Crowd  = crowd
)
