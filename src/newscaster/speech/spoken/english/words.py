"""Tables of abbreviations: those that are spelled, those that are words, and those that stand for words."""

from __future__ import annotations


def _words(words: str) -> frozenset[str]:
    return frozenset(words.split())


INITIALISMS = _words(
    """ABC ACLU AFP AI AIG AP API APIs ATM AWS BA BBC BMA BMW BP BT BTS CBI CBS CCTV CD CDC CEO CFO CGI CIA
    CNN COO CPI CPS CPU CTO CV DC DHS DIY DJ DNA DOJ DNC DUP DVD DVLA DWP EC ECB ECHR EEA EMA EPA ESPN
    EU EV EY FA FAA FBI FCC FCDO FDA FDIC FEMALE FT FTC FTSE GB GBP GCSE GCHQ GDP GDPR GM GMO GMT GOP GP
    GPS GPT GPU HBO HGV HIV HMRC HMS HP HR HS HSBC HSE IAEA IBM ICC ICE ICJ ICU ID IDF IFS IMF IOC IPCC
    IPO IQ IRA IRC IRS ISIS ISS IT ITN ITV IVF JD JFK KGB KKK KLM LA LBC LED LGBT LGBTQ LLC LNG LSE MBE
    MCC MEP MI MLA MLB MLS MMR MOT MP MPC MRI MS MSNBC MSP NBA NBC NFL NGO NHL NHS NI NPR NRA NSA NSW
    NTSB NUT NY NYC NYPD NYSE NZ OBE OBR OECD OFT ONS OPCW PA PC PCR PCS PE PFI PGA PHD PJ PLC PLO PM PMI
    PMQS POW PPE PR PS PSG PTSD QC KC RAC RAF RBS RMT RNC RNLI RSPB RSPCA SDP SDLP SEC SMS SNP SOS SPD
    STD SUV TB TNT TSB TUC TV UAE UCL UCLA UFC UFO UK UKHSA UN UNHCR UNRWA URL US USA USB USD USSR UTC
    VAT VC VIP VP VR VW WBA WBC WFP WHO WTO WWF YMCA AA AAA ADHD AKA ANC ASAP BAFTA BJP BNP CBE CDU CPR
    CSU DM EDF EFL ER FIA GMB GTA ICBM IED IIHF IMO IPL LPG LSD MMA NASDAQ NCA NEU OK PKK PMO PPI RFU
    RNA RPG SSE TGV TFL TUI UKIP UNDP VAR WSJ WTA XL YPG ZDF ARD DPA SCMP NDTV CBC NHK EPL MVP NCAA FSB
    GRU AAIB AARP EBRD EEOC EHRC ICRC IFRC IOPC IRGC KCNA MAIB NASUWT OSCE RAIB SEIU UKRI USAF USDA USGS USMCA
    USPS USTR UNSC UNGA UKSC EWCA EWHC MOD MRSA NGOS RPI SAGE SFO SNCF UUP WADA XR"""
) - _words(
    "FEMALE ICE IT US SAGE BAFTA NASDAQ ISIS UKIP WADA TFL FTSE OK HR APIs PMQS NGOS PHD LA ID"
) | _words("US LA ID HR OK")
"""Spelled letter by letter. "US" and the like only in capitals, of course."""
ACRONYMS = _words(
    """AIDS ASEAN AUKUS BAFTA BREXIT BRICS COBRA COP COVID DEFRA FAQ FEMA FIFA HAMAS HIMARS IKEA INTERPOL
    ISIS LASER LIDAR NAACP NAFTA NASA NASCAR NASDAQ NATO NICE OFCOM OFGEM OFSTED OFWAT OPEC OPERA OSHA
    POTUS QUANGO RADAR RAM ROM SAGE SARS SCOTUS SIM SONAR SWAT TASER UEFA UKIP UNESCO UNICEF WADA YIMBY
    NIMBY ACAS AFCON ANZAC AWACS BAME CAPTCHA CERN CONCACAF ECOWAS EFTA ERASMUS FLOTUS GIF JPEG HIPAA
    IATA ICANN CAC DAX MERS NIH NORAD PIN SOHO TASS THAAD UNITA VAR VISA ZIP"""
) - _words("NAACP NIH VAR OPERA SOHO VISA FAQ NICE PIN COP")
"""Read as a word."""
SPECIAL = {
    **{
        "FTSE": "footsie",
        "NAACP": "N double A.C.P",
        "PhD": "P.H.D",
        "BSc": "B.S.C",
        "MSc": "M.S.C",
        "TfL": "T.F.L",
    },
    **{
        "MoD": "M.O.D",
        "BoE": "B.O.E",
        "AfD": "A.F.D",
        "DoJ": "D.O.J",
        "RMT": "R.M.T",
        "HQ": "H.Q",
        "UKHSA": "U.K.H.S.A",
        "JPEG": "jay-peg",
    },
    **{"WW1": "World War One", "WWI": "World War One", "WW2": "World War Two", "WWII": "World War Two"},
    **{"AT&T": "A.T and T", "eBay": "eBay", "ICE": "ice", "Ofcom": "Ofcom", "COP": "cop"},
    **{"plc": "P.L.C", "PLC": "P.L.C", "24-7": "twenty-four seven", "CO2": "C.O two", "CO₂": "C.O two"},
    **{"Nikkei 225": "Nikkei two two five"},
    **{"MAX": "Max", "mRNA": "M.R.N.A", "pH": "P.H", "SARS-CoV-2": "Sars cov two"},
}
"""Forms with a reading of their own."""
TITLES = {
    **{
        "Gov": "Governor",
        "Sen": "Senator",
        "Sens": "Senators",
        "Rep": "Representative",
        "Reps": "Representatives",
    },
    **{
        "Lt": "Lieutenant",
        "Gen": "General",
        "Col": "Colonel",
        "Maj": "Major",
        "Capt": "Captain",
        "Sgt": "Sergeant",
    },
    **{"Cpl": "Corporal", "Pvt": "Private", "Adm": "Admiral", "Cmdr": "Commander", "Cdr": "Commander"},
    **{"Brig": "Brigadier", "Prof": "Professor", "Rev": "Reverend", "Hon": "Honourable", "Fr": "Father"},
    **{
        "Dr": "Doctor",
        "Mr": "Mister",
        "Mrs": "Missus",
        "Ms": "Ms",
        "Pres": "President",
        "Supt": "Superintendent",
    },
    **{
        "Det": "Detective",
        "Insp": "Inspector",
        "Sec": "Secretary",
        "Messrs": "Messieurs",
        "Msgr": "Monsignor",
    },
    **{
        "Cllr": "Councillor",
        "Cllrs": "Councillors",
        "Amb": "Ambassador",
        "Asst": "Assistant",
        "Atty": "Attorney",
    },
    **{"Pte": "Private", "Abp": "Archbishop", "Bp": "Bishop", "Mme": "Madame", "Ald": "Alderman"},
    **{"Mt": "Mount", "St": "Saint", "Ft": "Fort", "Ste": "Sainte", "Supt": "Superintendent"},
}
"""Before a name."""
AFTER_NAMES = {
    **{"St": "Street", "Rd": "Road", "Ave": "Avenue", "Blvd": "Boulevard", "Sq": "Square", "Ln": "Lane"},
    **{
        "Dr": "Drive",
        "Jr": "Junior",
        "Sr": "Senior",
        "Inc": "Incorporated",
        "Corp": "Corporation",
        "Co": "Company",
    },
    **{
        "Ltd": "Limited",
        "Div": "Division",
        "Bros": "Brothers",
        "Univ": "University",
        "Dept": "Department",
        "Hwy": "Highway",
    },
    **{
        "Pl": "Place",
        "Cres": "Crescent",
        "Assn": "Association",
        "Terr": "Terrace",
        "Regt": "Regiment",
        "Sqn": "Squadron",
    },
}
"""After a name."""
ABBREVIATIONS = {
    **{"e.g.": "for example", "eg": "for example", "i.e.": "that is", "ie": "that is", "etc.": "et cetera"},
    **{
        "etc": "et cetera",
        "vs.": "versus",
        "vs": "versus",
        "approx.": "approximately",
        "approx": "approximately",
    },
    **{"est.": "established", "govt": "government", "Govt": "Government", "dept": "department", "w/": "with"},
    **{"Dept.": "Department", "Dept": "Department", "Gov't": "Government", "gov't": "government"},
    **{"incl.": "including", "avg.": "average", "a.k.a.": "also known as", "aka": "also known as"},
    **{
        "Rt Hon": "Right Honourable",
        "Rt Hon.": "Right Honourable",
        "Rt. Hon.": "Right Honourable",
        "Ph.D.": "P.H.D",
        "min.": "minimum",
        "pcm": "a month",
        "q/q": "quarter on quarter",
        "y/y": "year on year",
        "m/m": "month on month",
        "max.": "maximum",
        "Utd": "United",
        "Intl": "International",
        "Int'l": "International",
        "Nat'l": "National",
        "ext.": "extension",
        "a.e.t.": "after extra time",
        "Snr.": "Senior",
        "Snr": "Senior",
        "wk": "week",
        "wks": "weeks",
        "aet": "after extra time",
        "Temps.": "Temperatures",
        "temps.": "temperatures",
    },
    **{
        "and/or": "and or",
        "he/she": "he or she",
        "n/a": "not applicable",
        "p.a.": "per annum",
        "pp": "percentage points",
        "24/7": "twenty-four seven",
    },
}
ABBREVIATIONS |= {
    short.capitalize(): ABBREVIATIONS[short].capitalize()
    for short in ("approx", "approx.", "avg.", "est.", "etc.", "incl.")
}
"""Abbreviations with words in their place."""
BEFORE_NUMBERS = {
    **{"Art": "Article", "Arts": "Articles", "Vol": "Volume", "Vols": "Volumes", "Fig": "Figure"},
    **{"Figs": "Figures", "Para": "Paragraph", "Pop": "Population", "Ep": "Episode", "Cl": "Clause"},
    **{"Rte": "Route", "Hwy": "Highway", "Apt": "Apartment", "Bldg": "Building", "Fl": "Floor"},
    **{
        "Ch": "Chapter",
        "ch": "chapter",
        "Cat": "Category",
        "Reg": "Regulation",
        "Res": "Resolution",
        "Ver": "Version",
        "ver": "version",
    },
    **{"vol": "volume", "fig": "figure", "para": "paragraph", "pop": "population", "art": "article"},
    **{"Lat": "Latitude", "lat": "latitude", "Long": "Longitude", "long": "longitude"},
}
"""With a full stop, before a number."""
COUNTED_ONE_BY_ONE = _words(
    """a apartment bus currently flat flight gate house platform ranked room route seed seeded the train tram
    world's world’s"""
)
"""Words before "no. 7" that make it a number. Otherwise, "no" may end a sentence."""
REGNAL = _words(
    """Abdullah Albert Alexander Alfonso Benedict Boniface Carl Carlos Catherine Charles Christian Clement
    Constantine Edward Elizabeth Emmanuel Ferdinand Francis Frederick George Gregory Gustaf Harald Haakon
    Hassan Henri Henry Innocent Ivan James John Joseph Julius Leo Leopold Louis Margrethe Mary Michael
    Mohammed Napoleon Nicholas Olav Otto Paul Pedro Peter Philip Rainier Ramses Sixtus Stephen
    Philippe Felipe Pius Rama Rameses Ramesses Richard Robert Umberto Urban Victor Vittorio Wilhelm
    William Willem"""
)
"""Names of monarchs and popes, before a Roman number that is an ordinal."""
NUMBERED = _words(
    """Act Annex Appendix Article Book Bowl Category Chapter Class Division Episode Grade Group Level Mark
    Mk Part Phase Rocky Scene Schedule Section Stage Star Title Type Vatican Volume War"""
)
"""Words before a Roman number that is a cardinal."""
CAPITALISED_WORDS = _words(
    """A I AM AN AND ARE AS AT BE BIG BUT BY CAN DAY DID DO FOR GET GO GOT HAD HAS HE HER HIM HIS HOW IF IN
    IS IT ITS ME MY NEW NO NOT NOW OF OFF OH OLD ON ONE OR OUR OUT SAY SEE SHE SO THE TO TOO TOP TWO UP
    WAR WAS WAY WE WHY WIN WON YES YET YOU ALL ANY BAD BAN ACT AGO AIR BUY CAR END FEW KEY LAW LET LOW
    MAN MAY MEN OIL OWN PAY PUT RUN SET SIX TAX TEN TRY USE VIA WEB AX HA HI HO LO OW OX PI UM UH YO"""
)
"""Short words that are written in capitals for emphasis."""
SIGNS = {
    **{
        "&": "and",
        "%": "per cent",
        "+": "plus",
        "=": "equals",
        "×": "times",
        "÷": "divided by",
        "≈": "about",
    },
    **{
        "≤": "at most",
        "≥": "at least",
        "±": "plus or minus",
        "°": "degrees",
        "§": "section",
        "→": "to",
        "@": "at",
    },
    **{"№": "number", "‰": "per mille", "√": "square root of", "∞": "infinity", "¢": "cents", "€": "euros"},
    **{"²": "squared", "³": "cubed", "£": "pounds", "$": "dollars", "¥": "yen", "#": "hash"},
}
"""Signs that stand alone."""
