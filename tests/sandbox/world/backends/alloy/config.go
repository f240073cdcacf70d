package alloy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/grafana/alloy/syntax/ast"
	"github.com/grafana/alloy/syntax/parser"
	"github.com/grafana/alloy/syntax/vm"
)

// configBlock is a block of an Alloy configuration.
type configBlock struct {
	name, label string
	// values are the evaluated arguments; references those that name exports of components.
	values     map[string]any
	references map[string][]string
	blocks     []configBlock
}

// id is the name in references to the component.
func (b configBlock) id() string { return b.name + "." + b.label }

// text is a string value: otherwise if it is missing.
func (b configBlock) text(key, otherwise string) string {
	if value, ok := b.values[key].(string); ok {
		return value
	}
	return otherwise
}

// list are the strings of a list.
func (b configBlock) list(key string) []string {
	found := []string{}
	values, _ := b.values[key].([]any)
	for _, value := range values {
		found = append(found, fmt.Sprint(value))
	}
	return found
}

// pairs are the strings of an object.
func (b configBlock) pairs(key string) map[string]string {
	found := map[string]string{}
	values, _ := b.values[key].(map[string]any)
	for key, value := range values {
		found[key] = fmt.Sprint(value)
	}
	return found
}

func (b configBlock) child(name string) (configBlock, bool) {
	for _, child := range b.blocks {
		if child.name == name {
			return child, true
		}
	}
	return configBlock{}, false
}

// unknown is an error for the first argument or block that is not in the list.
func (b configBlock) unknown(known ...string) error {
	for _, key := range slices.Concat(keys(b.values), keys(b.references)) {
		if !slices.Contains(known, key) {
			return fmt.Errorf("the sandbox's Alloy does not model %s of %s", key, b.name)
		}
	}
	for _, child := range b.blocks {
		if !slices.Contains(known, child.name) {
			return fmt.Errorf("the sandbox's Alloy does not model %s in %s", child.name, b.name)
		}
	}
	return nil
}

func keys[V any](values map[string]V) []string {
	found := []string{}
	for key := range values {
		found = append(found, key)
	}
	return found
}

// parseConfig reads a configuration by Alloy's own parser and evaluates its arguments; env gives the pod's variables.
func parseConfig(text string, env func(string) string) ([]configBlock, error) {
	file, err := parser.ParseFile("config.alloy", []byte(text))
	if err != nil {
		return nil, err
	}
	scope := &vm.Scope{Variables: map[string]any{
		"env": env, "sys": map[string]any{"env": env}, "constants": map[string]any{"hostname": env("HOSTNAME")},
	}}
	root, err := readBody(file.Body, scope)
	if err == nil && len(root.values)+len(root.references) > 0 {
		err = fmt.Errorf("config.alloy: unrecognized attribute names %v", keys(root.values))
	}
	return root.blocks, err
}

// references are the arguments that connect components.
var references = []string{"targets", "path_targets", "forward_to"}

func readBody(body ast.Body, scope *vm.Scope) (configBlock, error) {
	read := configBlock{values: map[string]any{}, references: map[string][]string{}}
	for _, statement := range body {
		switch statement := statement.(type) {
		case *ast.AttributeStmt:
			key := statement.Name.Name
			if slices.Contains(references, key) {
				ast.Walk(&exports{&read, key}, statement.Value)
				continue
			}
			var value any
			if err := vm.New(statement.Value).Evaluate(scope, &value); err != nil {
				return read, err
			}
			read.values[key] = value
		case *ast.BlockStmt:
			block, err := readBody(statement.Body, scope)
			if err != nil {
				return read, err
			}
			block.name, block.label = strings.Join(statement.Name, "."), statement.Label
			read.blocks = append(read.blocks, block)
		}
	}
	return read, nil
}

// exports collects the references of an argument, e.g. loki.write.loki.receiver.
type exports struct {
	block *configBlock
	key   string
}

func (e *exports) Visit(node ast.Node) ast.Visitor {
	access, ok := node.(*ast.AccessExpr)
	if !ok {
		return e
	}
	e.block.references[e.key] = append(e.block.references[e.key], dotted(access))
	return nil
}

func dotted(expression ast.Expr) string {
	switch expression := expression.(type) {
	case *ast.AccessExpr:
		return dotted(expression.Value) + "." + expression.Name.Name
	case *ast.IdentifierExpr:
		return expression.Ident.Name
	default:
		return "?"
	}
}
