import { text } from "./text.js";

// A table whose rows have checkboxes gets one for all of them, and shift selects a range.
export function addSelection(root) {
  for (const table of root.querySelectorAll("table")) {
    const boxes = [...table.querySelectorAll("tbody td:first-child input[type=checkbox]:not(:disabled)")];
    const head = table.querySelector("thead th:first-child, thead td:first-child");
    if (boxes.length < 2 || !head) continue;
    const all = document.createElement("input");
    all.type = "checkbox";
    all.setAttribute("aria-label", text("select-all"));
    all.addEventListener("change", () => {
      for (const box of boxes) box.checked = all.checked;
    });
    head.replaceChildren(all);
    addRanges(boxes, () => {
      const checked = boxes.filter(box => box.checked).length;
      all.checked = checked === boxes.length;
      all.indeterminate = checked > 0 && checked < boxes.length;
    });
  }
}

// A click with shift gives all boxes since the last click its state.
function addRanges(boxes, changed) {
  let last = null;
  for (const [i, box] of boxes.entries()) {
    box.addEventListener("click", event => {
      if (event.shiftKey && last !== null) {
        for (const other of boxes.slice(Math.min(i, last), Math.max(i, last) + 1)) other.checked = box.checked;
      }
      last = i;
      changed();
    });
  }
}
