// text returns a text of the page in the language of the reader. The head element has them.
export const text = name => document.querySelector(`meta[name="text-${name}"]`)?.content ?? name;
