// Runs before the page is drawn, so that the chosen theme never flashes in late.
const chosen = localStorage.getItem("theme");
if (chosen) document.documentElement.dataset.theme = chosen;
