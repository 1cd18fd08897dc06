package placement

import (
	"fmt"
	"slices"
	"strings"

	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/projections"
)

// around is what a task asks of other instances near it.
type around struct {
	near, far      []ref // required
	spread, loose  []spreading
	wished         []wish
	keepOut        []*group // of instances that keep this task away from where they are
	weights, worst int64    // of the wishes: the best and the worst that can come of them
}

// spreading is a demand for even spread.
type spreading struct {
	ref
	skew int
}

// ref is a group as a task sees it.
type ref struct {
	*group
	self bool // the task is of it
}

// wish is a preference for or against being near instances.
type wish struct {
	ref
	weight int64 // below zero: against
}

// group is some instances, counted by domain.
type group struct {
	key        string // of the topology
	namespaces []string
	selector   spec.LabelSelector
	workload   string // instead of the selector: this workload of the first namespace
	counts     map[string]int
	total      int
	domains    []string
	least      int
	stale      bool
}

func (g *group) has(namespace, workload string, labels map[string]string) bool {
	if !slices.Contains(g.namespaces, namespace) {
		return false
	}
	if g.workload != "" {
		return g.workload == workload
	}
	return g.selector.Matches(labels)
}

func (g *group) join(n *Node) {
	if domain, ok := n.domain(g.key); ok {
		g.counts[domain]++
		g.total++
		g.stale = true
	}
}

// in counts the group's instances in the node's domain.
func (g *group) in(n *Node) (int, bool) {
	domain, ok := n.domain(g.key)
	return g.counts[domain], ok
}

// lookAround finds the instances that the task asks to be near or far of.
func (p *Pool) lookAround(t *Task, s *spec.InstanceSpec) {
	for peer := range p.view.InstancesOf(t.Namespace, t.Workload) {
		if counts(peer) {
			t.peers[peer.Node]++
		}
	}
	a := &t.around
	if s.Affinity != nil {
		if near := s.Affinity.Instance; near != nil {
			for _, term := range near.Required {
				a.near = append(a.near, p.groupOf(t, term))
			}
			for _, term := range near.Preferred {
				a.wished = append(a.wished, wish{p.groupOf(t, term.Term), int64(term.Weight)})
				a.weights += int64(term.Weight)
			}
		}
		if far := s.Affinity.InstanceAnti; far != nil {
			for _, term := range far.Required {
				a.far = append(a.far, p.groupOf(t, term))
			}
			for _, term := range far.Preferred {
				a.wished = append(a.wished, wish{p.groupOf(t, term.Term), -int64(term.Weight)})
				a.worst += int64(term.Weight)
			}
		}
	}
	for _, c := range s.TopologySpread {
		g := &group{key: c.TopologyKey, namespaces: []string{t.Namespace}, workload: t.Workload}
		if c.LabelSelector != nil {
			g.workload, g.selector = "", *c.LabelSelector
		}
		r := p.refer(t, g)
		if p.domainsOf(r.group); c.WhenUnsatisfiable == spec.ScheduleAnyway {
			a.loose = append(a.loose, spreading{r, c.MaxSkew})
		} else {
			a.spread = append(a.spread, spreading{r, c.MaxSkew})
		}
	}
	p.listApart()
	for _, key := range p.apartKeys() {
		if g := p.apart[key]; g.has(t.Namespace, t.Workload, t.Labels) {
			a.keepOut = append(a.keepOut, g)
		}
	}
}

// counts reports whether an instance counts as being where it is.
func counts(i *projections.Instance) bool {
	return i.Placed() && i.Wished() && i.End == nil && i.Evicted == nil
}

func (p *Pool) groupOf(t *Task, term spec.InstanceTerm) ref {
	return p.refer(t, newGroup(t.Namespace, term))
}

func newGroup(namespace string, term spec.InstanceTerm) *group {
	g := &group{key: term.TopologyKey, namespaces: term.Namespaces, selector: term.LabelSelector, counts: map[string]int{}}
	if len(g.namespaces) == 0 {
		g.namespaces = []string{namespace}
	}
	return g
}

// refer is the pool's own group of that description, counted once.
func (p *Pool) refer(t *Task, g *group) ref {
	name := g.name()
	known, ok := p.groups[name]
	if !ok {
		known = g
		known.counts = map[string]int{}
		p.groups[name] = known
		for i := range p.view.Instances() {
			if counts(i) && known.has(i.Key.Namespace, i.Key.Workload, i.Spec.Labels) {
				if n := p.byName[i.Node]; n != nil {
					known.join(n)
				}
			}
		}
	}
	return ref{known, known.has(t.Namespace, t.Workload, t.Labels)}
}

func (g *group) name() string {
	return fmt.Sprintf("%s|%s|%s|%v|%v", g.key, strings.Join(g.namespaces, ","), g.workload, g.selector.MatchLabels, g.selector.MatchExpressions)
}

// domainsOf lists the domains that nodes which take work are in.
func (p *Pool) domainsOf(g *group) {
	if g.domains != nil {
		return
	}
	seen := map[string]bool{}
	for _, n := range p.Nodes {
		if domain, ok := n.domain(g.key); ok && !seen[domain] && n.State.TakesWork() {
			seen[domain] = true
			g.domains = append(g.domains, domain)
		}
	}
	g.stale = true
}

// fewest is how many of the group are in the domain that has fewest.
func (g *group) fewest() int {
	if g.stale {
		g.least, g.stale = 0, false
		for at, domain := range g.domains {
			if n := g.counts[domain]; at == 0 || n < g.least {
				g.least = n
			}
		}
	}
	return g.least
}

// listApart finds what instances on nodes keep others away.
func (p *Pool) listApart() {
	if p.listed {
		return
	}
	p.listed = true
	for i := range p.view.Apart() {
		if n := p.byName[i.Node]; n != nil {
			p.keepApart(n, i.Key.Namespace, i.Spec.Affinity.InstanceAnti.Required)
		}
	}
}

func (p *Pool) keepApart(n *Node, namespace string, terms []spec.InstanceTerm) {
	for _, term := range terms {
		g := newGroup(namespace, term)
		name := g.name()
		if known, ok := p.apart[name]; ok {
			g = known
		} else {
			p.apart[name] = g
		}
		g.join(n)
	}
}

func (p *Pool) apartKeys() []string {
	keys := make([]string, 0, len(p.apart))
	for key := range p.apart {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// joinGroups counts a task that was placed.
func (p *Pool) joinGroups(n *Node, t *Task) {
	for _, g := range p.groups {
		if g.has(t.Namespace, t.Workload, t.Labels) {
			g.join(n)
		}
	}
	for _, g := range t.around.far {
		name := g.name()
		known, ok := p.apart[name]
		if !ok {
			known = &group{key: g.key, namespaces: g.namespaces, selector: g.selector, counts: map[string]int{}}
			p.apart[name] = known
			p.warn(known)
		}
		known.join(n)
	}
}

// warn tells the tasks that are known already of a domain that something keeps others out of.
func (p *Pool) warn(g *group) {
	for _, t := range p.tasks {
		if g.has(t.Namespace, t.Workload, t.Labels) {
			t.around.keepOut = append(t.around.keepOut, g)
			t.decide(p)
		}
	}
}

// near: some of each group are in the node's domain. The first of a group that it is itself of may go anywhere.
func near(_ *Pool, n *Node, t *Task) bool { return t.around.notNear(n) == nil }

func (a *around) notNear(n *Node) *group {
	for _, g := range a.near {
		if count, ok := g.in(n); !ok || (count == 0 && (!g.self || g.total > 0)) {
			return g.group
		}
	}
	return nil
}

func whyNotNear(_ *Pool, n *Node, t *Task) string {
	return "not near " + t.around.notNear(n).String()
}

func far(_ *Pool, n *Node, t *Task) bool { return t.around.notFar(n) == nil }

func (a *around) notFar(n *Node) *group {
	for _, g := range a.far {
		if count, _ := g.in(n); count > 0 {
			return g.group
		}
	}
	for _, g := range a.keepOut {
		if count, _ := g.in(n); count > 0 {
			return g
		}
	}
	return nil
}

func whyNotFar(_ *Pool, n *Node, t *Task) string {
	g := t.around.notFar(n)
	if slices.Contains(t.around.keepOut, g) {
		return "where others keep " + g.String() + " away"
	}
	return "too near " + g.String()
}

// String says which instances the group is.
func (g *group) String() string {
	what := g.workload
	if what == "" {
		var parts []string
		for key, value := range g.selector.MatchLabels {
			parts = append(parts, key+"="+value)
		}
		slices.Sort(parts)
		for _, e := range g.selector.MatchExpressions {
			parts = append(parts, e.String())
		}
		what = strings.Join(parts, ",")
	}
	if what == "" {
		what = "anything"
	}
	if g.key == spec.TopologyNode {
		return what + " by node"
	}
	return what + " by " + g.key
}

// even: no domain gets more than so many more than the emptiest.
func even(_ *Pool, n *Node, t *Task) bool { return t.around.uneven(n) == nil }

func (a *around) uneven(n *Node) *group {
	for _, s := range a.spread {
		count, ok := s.in(n)
		if !ok || count+s.one()-s.fewest() > s.skew {
			return s.group
		}
	}
	return nil
}

// one is what the task adds to the group's count.
func (g ref) one() int {
	if g.self {
		return 1
	}
	return 0
}

func whyUneven(_ *Pool, n *Node, t *Task) string {
	g := t.around.uneven(n)
	if _, ok := n.domain(g.key); !ok {
		return "without label " + g.key + ", by which it is spread"
	}
	return "where " + g.String() + " would be too many"
}
