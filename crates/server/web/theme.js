// Dark or light, before anything is painted: what was chosen here before, else what the machine is set to.
(() => {
  let chosen = null;
  try {
    chosen = localStorage.getItem('theme');
  } catch {
    // A browser that keeps nothing has the machine's theme.
  }
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const apply = () => {
    document.documentElement.dataset.theme = chosen ?? (dark.matches ? 'dark' : 'light');
    document.dispatchEvent(new Event('theme'));
  };
  dark.addEventListener('change', apply);
  window.toggleTheme = () => {
    chosen = document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark';
    try {
      localStorage.setItem('theme', chosen);
    } catch {
      // Then it holds until the page is closed.
    }
    apply();
  };
  apply();
})();
