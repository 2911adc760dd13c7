package paths

// The default of a program may be a fixed path: only tests may not lean on one.
const fallback = "/var/lib/x"
