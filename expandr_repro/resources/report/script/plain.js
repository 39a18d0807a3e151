// A page without topics: only its colours change.

themeButton(() => {});
