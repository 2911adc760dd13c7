-- The queries behind each table, as they were run by {{.Software}} for the first part of the first crawl; for others, network, crawl
-- and range of rows are theirs. They read the record's views, which docs/data-dictionary.md of Canopy describes.
-- After them, identities and addresses became pseudonyms{{if .Raw}}: not in this dataset, which is raw{{end}}.
{{range .Queries}}
-- {{.Name}}
{{.SQL}};
{{end}}
