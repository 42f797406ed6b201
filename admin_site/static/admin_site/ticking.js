// A box in the head of a list's column of boxes, which ticks all rows of the page.
document.addEventListener("DOMContentLoaded", () => {
    const first = document.querySelector("#result_list input.ko-tick");
    if (!first) return;
    const head = document.querySelectorAll("#result_list thead th")[first.closest("td, th").cellIndex];
    if (!head) return;
    const all = first.cloneNode();
    all.classList.remove("ko-tick");
    all.removeAttribute("name");
    all.setAttribute("aria-label", head.textContent.trim());
    all.addEventListener("change", () => {
        for (const box of document.querySelectorAll("#result_list input.ko-tick")) box.checked = all.checked;
    });
    head.replaceChildren(all);
});
