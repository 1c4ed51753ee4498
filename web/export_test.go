package web

// Routes returns the method and the path of each view of a page.
func Routes(p *Page) (all []string) {
	for i := range p.views {
		all = append(all, p.views[i].method+" "+p.views[i].path)
	}
	return all
}

// StatusHeading is the heading of the page of an error.
var StatusHeading = statusHeading

// Integer is what the function "n" of templates counts.
var Integer = integer
