// The texts of the page in German, by their English text.

export const de = {
};
