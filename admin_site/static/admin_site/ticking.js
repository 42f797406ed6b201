// The box in a list's head ticks all rows of the page, where no bar of Django's does it.
document.addEventListener("change", (event) => {
    if (event.target.id !== "action-toggle" && event.target.name !== "action_toggle_all") return;
    for (const box of document.querySelectorAll("input[name=_selected_action]")) box.checked = event.target.checked;
});
