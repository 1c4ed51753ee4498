package strictjson

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// Unmarshal is json.Unmarshal, and also refuses text that is not UTF-8, repeated names, and names that v has no field
// for. Names are case-sensitive. v is a pointer to a struct; embedded structs are not supported.
//
// Errors: *Error.
func Unmarshal(content []byte, v any) error {
	if err := check(content); err != nil {
		return err
	}
	if loneSurrogate(content) {
		return Invalid("it has half of a surrogate pair")
	}
	d := json.NewDecoder(bytes.NewReader(content))
	d.UseNumber()
	if err := checkNames(d, reflect.TypeOf(v), ""); err != nil {
		return err
	}
	if err := json.Unmarshal(content, v); err != nil {
		return &Error{Problem: strings.TrimPrefix(err.Error(), "json: "), Err: err}
	}
	return nil
}

var (
	unmarshaler     = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// checkNames reads one value, whose Go type is t or unknown (nil), and checks the names of all objects in it.
func checkNames(d *json.Decoder, t reflect.Type, at string) error {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t != nil && (reflect.PointerTo(t).Implements(unmarshaler) || reflect.PointerTo(t).Implements(textUnmarshaler)) {
		t = nil // it checks itself
	}
	token, err := d.Token()
	if err != nil {
		return err
	}
	switch token {
	case json.Delim('['):
		for i := 0; d.More(); i++ {
			if err := checkNames(d, element(t, reflect.Slice), fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return err
			}
		}
	case json.Delim('{'):
		fields, seen := fieldsOf(t), map[string]bool{}
		for d.More() {
			key, err := d.Token()
			if err != nil {
				return err
			}
			name := key.(string) // JSON has no other keys
			field, known := fields[name]
			path := strings.TrimPrefix(at+"."+name, ".")
			switch {
			case seen[name]:
				return Invalid("the field %.200q is repeated", path)
			case fields != nil && !known:
				return Invalid("unknown field %.200q", path)
			case fields == nil:
				field = element(t, reflect.Map)
			}
			seen[name] = true
			if err := checkNames(d, field, path); err != nil {
				return err
			}
		}
	default:
		return nil
	}
	_, err = d.Token() // the end of the array or object
	return err
}

// element returns the type of the elements of a slice or map, or nil.
func element(t reflect.Type, kind reflect.Kind) reflect.Type {
	if t != nil && t.Kind() == kind {
		return t.Elem()
	}
	return nil
}

// fieldsOf returns the types of the fields of a struct by their names in JSON, or nil for another type.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	if t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	fields := map[string]reflect.Type{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" {
			name = f.Name
		}
		if name != "-" && f.IsExported() {
			fields[name] = f.Type
		}
	}
	return fields
}
