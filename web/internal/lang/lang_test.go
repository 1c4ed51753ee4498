package lang

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestChoose: the cookie decides, then Accept-Language, then the first language.
func TestChoose(t *testing.T) {
	both, err := NewChooser([]string{"en", "zh-CN"})
	require.NoError(t, err)
	chinese, err := NewChooser([]string{"zh-CN", "en"})
	require.NoError(t, err)
	for _, row := range []struct {
		chooser              *Chooser
		accept, cookie, want string
	}{
		{both, "", "", "en"}, {chinese, "", "", "zh-CN"},
		{both, "zh-CN,zh;q=0.9,en;q=0.8", "", "zh-CN"}, {both, "zh", "", "zh-CN"}, {both, "zh-Hans", "", "zh-CN"},
		{both, "zh-SG", "", "zh-CN"}, {both, "en-GB", "", "en"}, {both, "fr, zh;q=0.5", "", "zh-CN"},
		{both, "fr", "", "en"}, {chinese, "fr", "", "zh-CN"}, {both, "zh;q=0.1, en", "", "en"}, {both, "*", "", "en"},
		{both, "zh-CN", "en", "en"}, {both, "en", "zh-CN", "zh-CN"}, {both, "en", "xx", "en"},
		{both, "!!", "", "en"}, {both, strings.Repeat("zh-CN,", 1000), "", "en"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Accept-Language", row.accept)
		if row.cookie != "" {
			r.AddCookie(&http.Cookie{Name: Cookie, Value: row.cookie})
		}
		require.Equal(t, row.want, row.chooser.Choose(r).Code, "%+v", row)
	}
	_, err = NewChooser([]string{"en", "xx"})
	require.ErrorContains(t, err, `"xx"`)
	require.Nil(t, both.Find("xx"))
	require.Len(t, both.All(), 2)
}

// TestTexts: a text without a translation stays in English, and a count has the form of its number.
func TestTexts(t *testing.T) {
	c, err := NewChooser([]string{"en", "zh-CN"})
	require.NoError(t, err)
	en, zh := c.Find("en"), c.Find("zh-CN")
	require.Equal(t, "just now", en.Text("just now"))
	require.Equal(t, "刚刚", zh.Text("just now"))
	require.Equal(t, "100 % new", zh.Text("100 % new"), "without arguments, a text is no format")
	require.Equal(t, "1 hour", en.Count(1, "%s hour", "%s hours"))
	require.Equal(t, "0 hours", en.Count(0, "%s hour", "%s hours"))
	require.Equal(t, "1,204 hours", en.Count(1204, "%s hour", "%s hours"))
	require.Equal(t, "1 小时", zh.Count(1, "%s hour", "%s hours"))
	require.True(t, zh.Has("just now") && en.Has("anything"))
	require.False(t, zh.Has("anything"))
}

// TestNumbers: numbers have separators, sizes three digits and a unit, as docker shows them.
func TestNumbers(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567", 12204: "12,204"} {
		require.Equal(t, want, Number(n))
	}
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 99_949: "99.9 kB", 99_950: "100 kB",
		999_500: "1.0 MB", 42_100_000: "42.1 MB", 1 << 62: "4.6 EB", -1500: "-1.5 kB"} {
		require.Equal(t, want, Bytes(n))
	}
}

// TestTimes: times are in the largest unit, in both languages.
func TestTimes(t *testing.T) {
	c, err := NewChooser([]string{"en", "zh-CN"})
	require.NoError(t, err)
	en, zh := c.Find("en"), c.Find("zh-CN")
	now := time.Date(2026, 11, 29, 5, 12, 0, 0, time.UTC)
	for _, row := range []struct {
		before           time.Duration
		english, chinese string
	}{
		{0, "just now", "刚刚"}, {59 * time.Second, "just now", "刚刚"}, {time.Minute, "1 minute ago", "1 分钟前"},
		{3 * time.Hour, "3 hours ago", "3 小时前"}, {36 * time.Hour, "1 day ago", "1 天前"},
		{15 * 24 * time.Hour, "2 weeks ago", "2 周前"}, {70 * 24 * time.Hour, "2 months ago", "2 个月前"},
		{800 * 24 * time.Hour, "2 years ago", "2 年前"}, {-2 * time.Hour, "in 2 hours", "2 小时后"},
	} {
		require.Equal(t, row.english, en.Ago(now.Add(-row.before), now))
		require.Equal(t, row.chinese, zh.Ago(now.Add(-row.before), now))
	}
	require.Equal(t, "30 seconds", en.Duration(30*time.Second))
}
