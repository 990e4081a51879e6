"""Results as one HTML file: tables, pictures, facts."""
