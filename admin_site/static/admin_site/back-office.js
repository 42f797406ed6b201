// What Unfold's pages lack for those who use no mouse: keys for what is done all day, and a way to whatever only a click opens.
"use strict";

const writes = (element) => element.isContentEditable || /^(input|textarea|select)$/i.test(element.tagName);

window.addEventListener("keydown", (event) => {
  if (writes(event.target) || event.ctrlKey || event.metaKey || event.altKey) return;
  const open = document.querySelector("dialog[open]");
  if (event.key === "?" && !open) {
    document.getElementById("ko-keys")?.showModal();
  } else if (event.key === "h" && !open) {
    document.getElementById("ko-home")?.click();
  }
});

// Icons and boxes that Unfold opens by a click only.
function reachable(root) {
  for (const element of root.querySelectorAll("[x-on\\:click]")) {
    const inside = element.closest("a[href], button, label, input, select, textarea, #modal-content, #changelist-filter-close");
    if (inside || element.hasAttribute("tabindex")) continue;
    element.tabIndex = 0;
    element.setAttribute("role", "button");
    element.addEventListener("keydown", (event) => {
      if ((event.key === "Enter" || event.key === " ") && event.target === element) {
        event.preventDefault();
        element.click();
      }
    });
  }
}

window.addEventListener("DOMContentLoaded", () => reachable(document));

// A dialog that opens takes the focus to its first field, as a window does.
document.addEventListener("htmx:afterSettle", (event) => {
  if (event.target.id !== "modal-content") return;
  setTimeout(() => {
    const field = event.target.querySelector("input:not([type=hidden]), select, textarea, button");
    if (!event.target.contains(document.activeElement)) field?.focus();
  }, 50);
});

// One that stands open beside a list closes with a click elsewhere.
document.addEventListener("click", (event) => {
  for (const sheet of document.querySelectorAll("details.ko-saved[open]")) {
    if (!sheet.contains(event.target)) sheet.open = false;
  }
});
