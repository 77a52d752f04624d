package cli

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/sigpost/sigpost/internal/provider"
)

func (p *program) providersCommand() *cobra.Command {
	var f providerFlags
	var asJSON bool
	c := &cobra.Command{
		Use:   "providers [NAME]",
		Short: "List the providers, or show all that is known of one",
		Long: `Without NAME lists the providers. With NAME shows how that one signs, what its secrets
look like, what it demands of your URL, how it delivers, its event types and whom they
are about, and what its codes mean.`,
		Example: `  sigpost providers
  sigpost providers veriff
  sigpost providers metamap --json
  sigpost providers myshop --config sigpost.yaml`,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usage("%s takes one NAME, it got %d", c.CommandPath(), len(args))
			}
			set, err := p.providerSet(f.config)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return p.listProviders(set, asJSON)
			}
			d, err := set.Lookup(args[0])
			if err != nil {
				return usage("NAME: %w", err)
			}
			if asJSON {
				return p.printJSON(newProviderView(d))
			}
			return p.showProvider(d)
		},
	}
	f.registerConfig(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func (p *program) listProviders(set *provider.Set, asJSON bool) error {
	views := []providerView{}
	for _, name := range set.Names() {
		d, err := set.Lookup(name)
		if err != nil {
			return err
		}
		views = append(views, newProviderView(d))
	}
	if asJSON {
		return p.printJSON(views)
	}
	return p.table("NAME\tTITLE\tSIGNATURE\tEVENT TYPES\tEVENT ID", func(w io.Writer) {
		for _, v := range views {
			signature, id := "none", "none"
			if v.Scheme != nil {
				signature = v.Scheme.Header
			}
			if len(v.EventID) > 0 {
				id = v.EventID[0]
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\n", v.Name, v.Title, signature, len(v.EventTypes), id)
		}
	})
}

// showProvider prints a provider for people, a block for each part.
func (p *program) showProvider(d *provider.Definition) error {
	fmt.Fprintf(p.out, "%s (%s)\n", d.Title, d.Name)
	for _, alias := range d.Aliases {
		fmt.Fprintf(p.out, "  also called %s\n", alias)
	}
	p.paragraph("", d.About)
	if d.Docs != "" {
		p.paragraph("", d.Docs)
	}
	for _, note := range d.Notes {
		p.paragraph("- ", note)
	}
	blocks := []struct {
		title string
		rows  [][2]string
	}{
		{"Signature", signatureRows(d)},
		{"Secret", secretRows(d)},
		{"What it demands of your URL", receiveRows(d)},
		{"How it delivers", sendRows(d.Send)},
		{"What its events are about", subjectRows(d)},
	}
	for _, b := range blocks {
		if err := p.block(b.title, b.rows); err != nil {
			return err
		}
	}
	if err := p.eventTypes(d); err != nil {
		return err
	}
	for _, table := range newProviderView(d).Codes {
		rows := make([][2]string, len(table.Meanings))
		for i, m := range table.Meanings {
			rows[i] = [2]string{m.Code, m.Meaning}
		}
		if err := p.block("Codes: "+table.Title, append([][2]string{{"stand at", list(table.At)}}, rows...)); err != nil {
			return err
		}
	}
	return nil
}

func (p *program) eventTypes(d *provider.Definition) error {
	fmt.Fprintln(p.out, "\nEvent types (others are accepted, too)")
	return p.table("  TYPE\tFAMILY\tRANK\tFINAL\tMEANING", func(w io.Writer) {
		for _, t := range newProviderView(d).EventTypes {
			rank, final := "", ""
			if t.Rank != 0 {
				rank = strconv.Itoa(t.Rank)
			}
			if t.Final {
				final = "final"
			}
			fmt.Fprintf(w, "  %s\t%s\t%s\t%s\t%s\n", t.Name, t.Family, rank, final, t.About)
		}
	})
}

// block prints a heading and rows of two columns; nothing when there are none.
func (p *program) block(title string, rows [][2]string) error {
	if len(rows) == 0 {
		return nil
	}
	return p.table("\n"+title, func(w io.Writer) {
		for _, row := range rows {
			fmt.Fprintf(w, "  %s\t%s\n", row[0], row[1])
		}
	})
}

// width is how wide paragraphs are, in characters.
const width = 100

// paragraph prints text after a mark, in lines that keep the indent.
func (p *program) paragraph(mark, text string) {
	line := "  " + mark
	indent := strings.Repeat(" ", len(line))
	for i, word := range strings.Fields(text) {
		if i > 0 && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			fmt.Fprintln(p.out, line)
			line = indent + word
			continue
		}
		if i > 0 {
			line += " "
		}
		line += word
	}
	fmt.Fprintln(p.out, line)
}
