// "/" goes to the search. Escape, or a click elsewhere, closes the menus of the header.
export function addKeys(root) {
  const search = root.querySelector(".search input");
  const menus = [...root.querySelectorAll("details.menu")];
  root.addEventListener("keydown", event => {
    if (event.key === "Escape") close(menus, event);
    const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey || !search) return;
    event.preventDefault();
    search.focus();
    search.select();
  });
  root.addEventListener("click", event => {
    for (const menu of menus) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });
}

// close closes the open menu, and gives its summary the focus if the focus was in it.
function close(menus, event) {
  for (const menu of menus.filter(menu => menu.open)) {
    menu.open = false;
    if (menu.contains(event.target)) menu.querySelector("summary").focus();
  }
}
