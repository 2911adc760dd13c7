package store

func hold(string) {}
