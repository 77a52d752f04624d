package provider

import "slices"

// link gives every rule its whole list of subjects and every path its place
// in the tree that the scanner walks.
func (d *Definition) link() {
	d.subjects = over(d.subjects, nil, d.Primary)
	d.types = make(map[string]EventType, len(d.Types))
	for _, t := range d.Types {
		d.types[t.Name] = t
	}
	for i := range d.Rules {
		r := &d.Rules[i]
		r.Subjects = over(d.subjects, r.Subjects, d.Primary)
		if len(r.Time) == 0 {
			r.Time = d.time
		}
	}
	d.root = new(node)
	for _, p := range d.paths() {
		p.node = d.root.add(p.Keys)
	}
	d.root.number(0)
}

// paths are all paths of the definition.
func (d *Definition) paths() []*Path {
	all := slices.Concat(pointers(d.ID), pointers(d.time))
	if d.FlowPath != nil {
		all = append(all, d.FlowPath)
	}
	for i := range d.subjects {
		all = append(all, pointers(d.subjects[i].From)...)
	}
	for i := range d.Codes {
		all = append(all, pointers(d.Codes[i].From)...)
	}
	for i := range d.Rules {
		all = append(all, d.Rules[i].paths()...)
	}
	return all
}

func (rule *Rule) paths() []*Path {
	all := pointers(rule.Time)
	for i := range rule.Subjects {
		all = append(all, pointers(rule.Subjects[i].From)...)
	}
	for i := range rule.When {
		all = append(all, pointers(rule.When[i].From)...)
	}
	for i := range rule.Type {
		for _, p := range rule.Type[i].parts {
			if p.path != nil {
				all = append(all, p.path)
			}
		}
	}
	return all
}

func pointers(paths []Path) []*Path {
	all := make([]*Path, len(paths))
	for i := range paths {
		all[i] = &paths[i]
	}
	return all
}
