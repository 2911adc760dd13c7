-- The queries behind each table, as they were run by {{.Software}} for one part of one network; %-marks stand for the
-- network, the crawl and the range of rows. They read the record's views, which docs/data-dictionary.md of Canopy describes.
-- After them, identities and addresses became pseudonyms{{if .Raw}}: not in this dataset, which is raw{{end}}.
{{range .Queries}}
-- {{.Name}}
{{.SQL}};
{{end}}
