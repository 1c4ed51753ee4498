import { text } from "./text.js";

// Each command has a button that copies it. The clipboard exists in secure contexts only: HTTPS and loopback.
export function addCopyButtons(root) {
  if (!navigator.clipboard) return;
  for (const box of root.querySelectorAll(".pull")) {
    const code = box.querySelector("code");
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = text("copy");
    button.addEventListener("click", () => copy(button, code.textContent.trim()));
    box.append(button);
  }
}

// The button says that it has copied, also to screen readers, and then what it does.
async function copy(button, content) {
  await navigator.clipboard.writeText(content);
  button.setAttribute("aria-live", "polite");
  button.textContent = text("copied");
  setTimeout(() => { button.textContent = text("copy"); }, 2000);
}
