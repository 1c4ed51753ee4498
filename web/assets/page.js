// The page works without scripts. These add what a server cannot do: the clipboard, the local time, the selection of
// many rows, and keys.
import { addCopyButtons } from "./copy.js";
import { addLocalTimes } from "./time.js";
import { addSelection } from "./select.js";
import { addKeys } from "./keys.js";

addCopyButtons(document);
addLocalTimes(document);
addSelection(document);
addKeys(document);

// A card whose table is wider than itself is scrolled by the keyboard, too. Some browsers do so by themselves.
for (const card of document.querySelectorAll(".card")) {
  if (card.scrollWidth > card.clientWidth) card.tabIndex = 0;
}

// Elements of some views have a module of their own.
for (const part of document.querySelectorAll("[data-module]")) {
  import(`./${part.dataset.module}.js`).then(module => module.start(part));
}
