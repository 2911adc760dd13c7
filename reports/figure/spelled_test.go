package figure

import "testing"

// What the font lacks is spelled with what it has, and never takes more room.
func TestWhatTheFontLacksIsSpelled(t *testing.T) {
	plain := map[string]string{"日本語の組織、とても長い名前の株式会社": "AS64500", "漢": "AS64501"}
	for text, want := range map[string]string{
		"Example Telecom": "Example Telecom", "Haut Débit": "Haut Débit", "日本語の組織、とても長い名前の株式会社": "AS64500", "日本語の組織、と…": "AS64500",
		"Of 日本語の組織、とても長い名前の株式会社, all": "Of AS64500, all", "漢": "…", "東京電力株式会社の別名称 Ltd": "[U+6771…] Ltd",
	} {
		got := bodyText.spelled(text, plain)
		if got != want {
			t.Errorf("%q is spelled %q, want %q", text, got, want)
		}
		if _, missing := split(bodyText.face(), got); len(missing) > 0 || bodyText.width(got) > bodyText.width(text)+0.01 {
			t.Errorf("%q does not fit: %q", text, got)
		}
	}
}
