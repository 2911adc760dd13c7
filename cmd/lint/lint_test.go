package main

import (
	"testing"

	"golang.org/x/tools/go/analysis/analysistest"
)

func TestFixedPath(t *testing.T) { analysistest.Run(t, analysistest.TestData(), fixedPath, "paths") }

func TestAnyError(t *testing.T) { analysistest.Run(t, analysistest.TestData(), anyError, "errs") }
